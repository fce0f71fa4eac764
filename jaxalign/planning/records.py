"""An article with its intermediate steps: what every source gives, and what every formatter takes."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

PARTS = ("summary", "outline", "key_information")
"""The intermediate steps of the paper, in the order in which a plan has them."""

_LINE = "an outline has a heading a line"


class Heading(NamedTuple):
    """One heading of an outline.

    Attributes:
      title: its text, without any mark.
      level: 1 for a section, 2 for a section of a section, and so on.
    """

    title: str
    level: int = 1


class Fact(NamedTuple):
    """One piece of key information.

    Attributes:
      text: a sentence.
      references: where it comes from, for instance URLs; () if nobody said.
    """

    text: str
    references: tuple[str, ...] = ()


@typing.no_type_check  # values come from files, and __post_init__ judges them in words that name the field
@dataclasses.dataclass(frozen=True)
class PlannedArticle:
    """An article, what is asked for, and the steps between.

    A step that is not known is empty, and formatters that need it refuse the record.

    Attributes:
      x: what a user gives: a subject, a title, or a source text to write about.
      article: the text that answers it; lines of ``# Title`` are headings.
      summary: of the article.
      outline: its headings in order.
      key_information: facts that the article rests on, in order.
      scores: figures of steps, such as those of :func:`jaxalign.planning.choose_best`, by name.
      provenance: who made each step, by its name: a file, a model.
      id: what the source calls this record.

    Raises:
      ValueError: naming the field, when a value is not of the form above.
    """

    x: str
    article: str
    summary: str = ""
    outline: tuple[Heading, ...] = ()
    key_information: tuple[Fact, ...] = ()
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    id: str = ""

    def __post_init__(self):
        for field in ("x", "article", "summary", "id"):
            _check(isinstance(getattr(self, field), str), field, "a text", getattr(self, field))
        _check(bool(self.x.strip()), "x", "a text that is not blank", self.x)
        object.__setattr__(self, "outline", tuple(map(_heading, self.outline)))
        object.__setattr__(self, "key_information", tuple(map(_fact, self.key_information)))
        for name, score in self.scores.items():
            number = isinstance(score, int | float) and math.isfinite(score)
            _check(number, f"scores, {name}", "a finite number", score)
        for name, maker in self.provenance.items():
            _check(isinstance(maker, str), f"provenance, {name}", "a text", maker)

    @property
    def known_parts(self) -> tuple[str, ...]:
        """The names of the intermediate steps that are not empty, in the order of :data:`PARTS`."""
        return tuple(part for part in PARTS if getattr(self, part))


FIELDS = tuple(field.name for field in dataclasses.fields(PlannedArticle))
"""The names of the fields of a record."""


def to_row(record: PlannedArticle) -> dict[str, Any]:
    """Returns the record as JSON can hold it; :func:`from_row` gives the record back.

    Args:
      record: an article with its steps.
    """
    row = {name: getattr(record, name) for name in FIELDS}
    row["outline"] = [heading._asdict() for heading in record.outline]
    row["key_information"] = [
        {"text": fact.text, "references": list(fact.references)} for fact in record.key_information
    ]
    return row | {"scores": dict(record.scores), "provenance": dict(record.provenance)}


def from_row(row: Mapping[str, Any]) -> PlannedArticle:
    """Makes a record of what :func:`to_row` gave, or of a row of a user's own file.

    A file may say less: headings may be texts (of level 1), facts too (without references), and what is missing or
    null is empty.

    Args:
      row: values by the names of the fields of :class:`PlannedArticle`; ``x`` and ``article`` must be there.

    Returns:
      The record.

    Raises:
      ValueError: naming the field that is missing, unknown, or of another form.

    >>> from_row({"x": "Bees", "article": "Bees fly.", "outline": ["Flight"]}).outline
    (Heading(title='Flight', level=1),)
    """
    if unknown := sorted(set(row) - set(FIELDS)):
        raise ValueError(f"unknown fields {unknown}; a planned article has {', '.join(FIELDS)}")
    if missing := [name for name in ("x", "article") if row.get(name) is None]:
        raise ValueError(f"{missing[0]}: expected a text, got none")
    given = {name: value for name, value in row.items() if value is not None}
    for name in ("outline", "key_information"):
        _check(isinstance(given.get(name, []), list | tuple), name, "a list", given.get(name))
    for name in ("scores", "provenance"):
        _check(isinstance(given.get(name, {}), Mapping), name, "values by name", given.get(name))
    return PlannedArticle(**given)


def _heading(value: Any) -> Heading:
    if isinstance(value, str):
        value = Heading(value)
    elif isinstance(value, Mapping):
        _check(set(value) <= {"title", "level"} and "title" in value, "outline", "title and level", dict(value))
        value = Heading(**value)
    _check(isinstance(value, Heading), "outline", "headings with title and level", value)
    title = isinstance(value.title, str) and bool(value.title.strip())
    _check(title and len(value.title.splitlines()) == 1, "outline", f"titles of one line, as {_LINE},", value.title)
    _check(isinstance(value.level, int) and value.level >= 1, "outline", "levels from 1", value.level)
    return value


def _fact(value: Any) -> Fact:
    if isinstance(value, str):
        value = Fact(value)
    elif isinstance(value, Mapping):
        _check(
            set(value) <= {"text", "references"} and "text" in value, "key_information", "text and references", value
        )
        value = Fact(value["text"], tuple(value.get("references") or ()))
    _check(isinstance(value, Fact), "key_information", "facts with text and references", value)
    one_line = isinstance(value.text, str) and len(value.text.strip().splitlines()) == 1
    _check(one_line, "key_information", "facts of one line that is not blank", value.text)
    return value


def _check(holds: bool, field: str, expected: str, got: Any) -> None:
    if not holds:
        raise ValueError(f"{field}: expected {expected}, got {got!r}")
