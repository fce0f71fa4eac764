"""What the values of a column are: texts, transcripts, numbers, chats, lists of these.

Layouts are told apart by the names of columns and by these forms. A form is that of most values, because a file may
have bad rows: the reader names them later, with their place.
"""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxalign.data.readers.columns import number_of

_TRANSCRIPT = re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL)
SHOWN = {
    "text": "texts",
    "transcript": "transcripts of Human and Assistant",
    "number": "numbers",
    "boolean": "true or false",
    "message": "messages",
    "ShareGPT message": "messages with from and value",
    "messages": "lists of messages",
    "ShareGPT messages": "lists of messages with from and value",
    "texts": "lists of texts",
    "numbers": "lists of numbers",
    "conversations": "lists of lists of messages",
    "objects": "lists of objects",
    "fields": "objects of lists",
    "empty": "no values",
    "other": "values of another form",
}
TEXTS = "text", "transcript"
CHATS = "messages", "ShareGPT messages"
MESSAGE = "message", "ShareGPT message"


def form_of(values: Iterable[Any]) -> str:
    """The form, a key of :data:`SHOWN`, that most of the values have; those that are missing or empty do not count."""
    counts = collections.Counter(_form(value) for value in values)
    counts.pop("empty", None)
    return counts.most_common(1)[0][0] if counts else "empty"


def label_form(values: Iterable[Any]) -> str:
    """``"boolean"``, ``"number"`` or ``"other"``, of values that tell how good a response is; texts may spell them."""
    given = [value for value in values if value is not None]
    try:
        numbers = [number_of(value, "label") for value in given]
    except ValueError:
        return "other"
    spelt = any(str(value).strip().lower() in ("true", "false") for value in given)
    return "boolean" if spelt else "number" if numbers else "empty"


def columns_of(rows: Sequence[Mapping]) -> dict[str, str]:
    """Every column of some rows with its form, in the order of the rows' columns."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return {name: form_of(row.get(name) for row in rows) for name in names}


def _form(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "empty"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "transcript" if _TRANSCRIPT.match(value) else "text"
    if isinstance(value, Mapping):
        return "fields" if is_fields(value) else _message_form(value)
    return _list_form(value) if isinstance(value, list | tuple) else "other"


def is_fields(value: Mapping) -> bool:
    """Says whether an object of lists is a list of objects, field by field, as ``datasets`` and TFDS store these."""
    lists = [each for each in value.values() if isinstance(each, list | tuple)]
    return bool(lists) and len(lists) == len(value) and len({len(each) for each in lists}) == 1


def _message_form(value: Mapping) -> str:
    if "role" in value:
        return "message"
    return "ShareGPT message" if "from" in value and "value" in value else "other"


def _list_form(value: Sequence) -> str:
    if all(isinstance(each, str) for each in value):
        return "texts"
    if all(isinstance(each, int | float) for each in value):
        return "numbers"
    if all(isinstance(each, Mapping) for each in value):
        kinds = {_message_form(each) for each in value}
        return f"{kinds.pop()}s" if len(kinds) == 1 and kinds != {"other"} else "objects"
    if all(isinstance(each, list | tuple) and each and _list_form(each) == "messages" for each in value):
        return "conversations"
    return "other"
