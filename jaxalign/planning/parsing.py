"""The steps that a teacher wrote, as values of a record; or the reason why there is none."""

import re
from typing import Literal, NamedTuple

from jaxalign.planning.grammar import check_parts, find_mark, parse_plan
from jaxalign.planning.outlines import parse_outline
from jaxalign.planning.records import Fact, Heading
from jaxalign.prompting import parse_document, parse_list

_LABEL = re.compile(
    r"\s*[#*_\s]*(?:summary|outline|key[ _]information)(?:\s+of\s+the\s+article)?[*_\s]*(?::[*_]*|\n|$)", re.IGNORECASE
)

StepReason = Literal["", "unfinished thinking", "empty", "refused", "another form"]
"""Why a step could not be read; "" where it could."""


class ParsedStep(NamedTuple):
    """A step as a model wrote it, or why there is none.

    Attributes:
      value: what the field of a :class:`~jaxalign.planning.PlannedArticle` holds: a text, headings, or facts without
        references; None if there is none.
      reason: why there is none; "" if there is a value.
    """

    value: str | tuple[Heading, ...] | tuple[Fact, ...] | None
    reason: StepReason = ""


def parse_step(part: str, text: str) -> ParsedStep:
    """Reads one step that a model wrote, after any thinking, without a chat's first sentence and the step's own name.

    The step may stand between its marks, such as ``<summary>`` and ``</summary>``. With any other mark of the grammar
    of plans in it, nobody could put it into a plan, so that it is of another form.

    Args:
      part: which step was asked for, one of :data:`~jaxalign.planning.PARTS`.
      text: as the model wrote it.

    Returns:
      The value of the record's field, or the reason why there is none.

    Raises:
      ValueError: there is no such step.

    >>> parse_step("outline", "Here is the outline:\\n# Life\\n## Youth").value
    (Heading(title='Life', level=1), Heading(title='Youth', level=2))
    >>> parse_step("key_information", "Bees live in hives.")
    ParsedStep(value=None, reason='another form')
    """
    check_parts((part,))
    marked = parse_plan(text, (part,))
    document = parse_document(text if marked is None else marked[part])
    if document.text is None:
        return ParsedStep(None, document.reason)
    said = document.text[found.end() :].strip() if (found := _LABEL.match(document.text)) else document.text
    if not said:
        return ParsedStep(None, "empty")
    value = said if part == "summary" else parse_outline(said) if part == "outline" else _facts(said)
    return ParsedStep(None, "another form") if not value or find_mark(said) else ParsedStep(value)


def _facts(said: str) -> tuple[Fact, ...]:
    return tuple(Fact(item) for item in parse_list(said))
