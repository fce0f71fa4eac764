"""A task as a TOML file, which a person reads and edits between the stages of a run.

Every field that there is::

    document = "product review"  # the kind of document; prompts say "Write one product review of the class ..."
    lengths = [30, 100]          # the least words of a document, one or several to draw from; [] leaves it open
    room = 50                    # words that a document may have beyond its least
    # labels_from = "products"   # for several labels: a document has all classes under which its product stands

    [classes]  # label = what prompts call it; labels stand in the data, names in prompts
    kitchen = "kitchen"
    toys_games = "toys and games"
    "Sci/Tech" = "science and technology"  # a label with other marks stands in quotes

    [similar]  # for a label, the labels that are easily confused with it; prompts keep clear of them
    kitchen = ["toys_games"]
    toys_games = []  # none, and no model is asked for some; for a label that is missing, it is

    [[attributes]]  # shared: one list of values for documents of every class
    name = "style"
    phrase = "writing style"  # what prompts call it: "The writing style is: ..."
    kind = "shared"
    values = ["personal: tells of one's own use", "pros and cons"]

    [[attributes]]  # class: a list for each label; values that fit similar classes too are filtered out
    name = "products"
    phrase = "product"
    kind = "class"
    [attributes.values]
    kitchen = ["blender", "2 quart pot", "other"]  # "other" leaves the choice to the writer
    toys_games = ["\\"1984\\", a board game", 'a 12" doll']
    "Sci/Tech" = ["3D printer"]

    [[attributes]]  # brands depend on the class, and are not filtered
    name = "brands"
    phrase = "brand"
    kind = "class"
    filtered = false
    # Without values, a model is asked for some.

A stage writes what it found into the fields that are empty and leaves the others as they are. Values are texts, numbers
too: ``"100"``. The length of documents is no attribute; it has fields of its own.
"""

import tomllib
from collections.abc import Mapping
from typing import Any

from jaxalign.attributes.task import Attribute, ClassAttribute, SharedAttribute, Task, check_count, check_text

_HEADER = """\
# What to generate. Edit it freely, and keep texts in quotes.
# classes: label = what prompts call it. similar: for a label, the labels that are easily confused with it.
# attributes: kind "shared" has one list of values, kind "class" a list for each label; phrase is what prompts call it;
# filtered = false keeps values that fit similar classes too.
# lengths: the least words of a document; room: words that it may have beyond them.

"""
_FIELDS = {"document", "classes", "attributes", "similar", "lengths", "room", "labels_from"}


def parse_task(text: str) -> Task:
    """Reads a task from the text of a TOML file.

    Args:
      text: the content of the file.

    Raises:
      ValueError: naming the field that is missing, unknown or wrong, and the remedy.

    >>> parse_task('document = "review"\\n[classes]\\ngood = "positive"\\nbad = "negative"').classes["bad"]
    'negative'
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the task is not TOML: {error}; texts stand in quotes, lists in brackets") from error
    _check_fields("the task", table, _FIELDS, {"document", "classes"})
    check_text("document", table["document"])
    fields = dict(table)
    fields["classes"] = dict(_table("classes", table["classes"]))
    for label, name in fields["classes"].items():
        check_text(f"classes, the name of {label!r}", name)
    fields["similar"] = _lists("similar", table.get("similar", {}))
    fields["attributes"] = tuple(
        _parse_attribute(place, each) for place, each in enumerate(_list("attributes", table.get("attributes", [])), 1)
    )
    if "lengths" in table:
        fields["lengths"] = _list("lengths", table["lengths"])
    for field, counts in {"lengths": fields.get("lengths", ()), "room": (table.get("room", 1),)}.items():
        for count in counts:
            check_count(field, count, "words")
    if not isinstance(table.get("labels_from", ""), str):
        raise ValueError(f"labels_from: expected a text, got {table['labels_from']!r}; put it into quotes")
    return Task(**fields)


def render_task(task: Task) -> str:
    """Returns the text of the TOML file of a task, from which :func:`parse_task` makes an equal task.

    Args:
      task: what to write.
    """
    import tomli_w

    table: dict[str, Any] = {"document": task.document}
    if task.labels_from:
        table["labels_from"] = task.labels_from
    table |= {"lengths": task.lengths, "room": task.room, "classes": task.classes}
    if task.similar:
        table["similar"] = task.similar
    if task.attributes:
        table["attributes"] = [_render_attribute(attribute) for attribute in task.attributes]
    return _HEADER + tomli_w.dumps(table)


def _render_attribute(attribute: Attribute) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": attribute.name, "phrase": attribute.phrase, "kind": "shared"}
    if isinstance(attribute, ClassAttribute):
        shown |= {"kind": "class", "filtered": attribute.filtered}
    # A person who makes a shared attribute without values depend on the class has one word to change.
    return shown | ({"values": attribute.values} if attribute.values else {})


def _parse_attribute(place: int, table: object) -> Attribute:
    where = f"attribute number {place}"
    table = _table(where, table)
    if "name" in table:
        check_text(f"{where}, name", table["name"])
        where = f"attribute {table['name']!r}"
    kind = table.get("kind")
    if kind not in ("shared", "class"):
        raise ValueError(f'{where}, kind: expected "shared" or "class", got {kind!r}; write one of them')
    known = {"name", "phrase", "kind", "values"} | ({"filtered"} if kind == "class" else set())
    _check_fields(where, table, known, {"name", "phrase"})
    check_text(f"{where}, phrase", table["phrase"])
    values = table.get("values", [] if kind == "shared" else {})
    if kind == "shared":
        return SharedAttribute(table["name"], table["phrase"], _texts(f"{where}, values", values))
    filtered = table.get("filtered", True)
    if not isinstance(filtered, bool):
        raise ValueError(f"{where}, filtered: expected true or false, got {filtered!r}; write one without quotes")
    return ClassAttribute(table["name"], table["phrase"], _lists(f"{where}, values", values), filtered)


def _check_fields(where: str, table: Mapping, known: set[str], needed: set[str]) -> None:
    if unknown := sorted(table.keys() - known):
        raise ValueError(f"{where}: unknown field {unknown[0]!r}; the fields are {', '.join(sorted(known))}")
    if missing := sorted(needed - table.keys()):
        raise ValueError(f"{where}: the field {missing[0]!r} is missing; add a line that begins with {missing[0]}")


def _table(field: str, value: object) -> Mapping:
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: expected a table of a line for each label, got {value!r}; write [{field}] above it")
    return value


def _list(field: str, value: object) -> tuple:
    if not isinstance(value, list):
        raise ValueError(f"{field}: expected a list, got {value!r}; put it into brackets")
    return tuple(value)


def _texts(field: str, value: object) -> tuple[str, ...]:
    for text in (texts := _list(field, value)):
        check_text(field, text)
    return texts


def _lists(field: str, value: object) -> dict[str, tuple[str, ...]]:
    return {label: _texts(f"{field} of {label!r}", each) for label, each in _table(field, value).items()}
