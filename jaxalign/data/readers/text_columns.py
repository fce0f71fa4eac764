"""Rows of one text each, with its label or labels: which column holds what."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from jaxalign.data.readers.columns import names_of, value_of


class TextRow(NamedTuple):
    """A text, the names of its classes, and a name of its own.

    Attributes:
      text: the text.
      labels: one class, several, or, where they are not known, none.
      id: a name for the row; "" for none.
    """

    text: str
    labels: tuple[str, ...] = ()
    id: str = ""


@dataclasses.dataclass(frozen=True)
class TextColumns:
    """One text a row, for instance ``data.read_file(path, data.TextColumns(label="topic"))``.

    Attributes:
      text: the column of the text, or several, such as a title and a description, whose texts are joined by blanks.
      label: the column of the name or the number of its class, or of a list of these; None where there is none.
      id: the column of the row's name; None for none.
    """

    text: str | tuple[str, ...] = "text"
    label: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> TextRow:
        columns = (self.text,) if isinstance(self.text, str) else self.text
        text = " ".join(_text(row, column) for column in columns)
        labels = () if self.label is None else _labels(value_of(row, self.label), self.label)
        return TextRow(text, labels, **names_of(row, self, "id"))


def _text(row: Mapping, column: str) -> str:
    text = value_of(row, column)
    if not isinstance(text, str):
        raise ValueError(f"{column}: expected a text, got {text!r}")
    return text


def _labels(value: object, column: str) -> tuple[str, ...]:
    labels = value if isinstance(value, list | tuple) else [value]
    for label in labels:
        if not isinstance(label, str | int) or isinstance(label, bool) or label == "":
            raise ValueError(f"{column}: expected the name or number of a class, or a list of them, got {value!r}")
    return tuple(map(str, labels))
