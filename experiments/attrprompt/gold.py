"""Gold sets: real texts with the labels of a task, from files of any usual columns.

No text is cleaned, neither here nor among generated ones. Whoever cleans does it with one function for both
(:func:`jaxalign.attributes.change_alike`), or classifiers learn what the cleaner took out.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from jaxalign.attributes import Task, find_class
from jaxalign.data import TextColumns, TextRow, read_file
from jaxalign.data.readers.collecting import SourceReport

_SHOWN = 10  # labels in an error


@dataclasses.dataclass(frozen=True)
class GoldColumns:
    """Which columns of a file hold what."""

    text: tuple[str, ...] = ("text",)  # joined by blanks where they are several
    label: str = "label"  # the class or a list of classes, by label, name or number
    names: tuple[str, ...] = ()  # of the classes 0, 1 and so on, where the file has numbers


AGNEWS = GoldColumns(("title", "description"), "label_name")
SST2 = GoldColumns(names=("negative", "positive"))
COLUMNS: Mapping[str, GoldColumns] = {"agnews": AGNEWS, "sst-2": SST2}


class Gold(NamedTuple):
    """Real texts with labels of the task.

    Attributes:
      rows: the texts as they stand in the file, with labels of the task.
      counts: for each label of the task how many texts have it, 0 for none.
      report: how many rows there were, and which could not be used.
    """

    rows: list[TextRow]
    counts: Mapping[str, int]
    report: SourceReport


def read_gold(
    path: pathlib.Path, task: Task, columns: GoldColumns = GoldColumns(), *, skip_bad_rows: bool = False
) -> Gold:
    """Reads the texts of a parquet file or of JSON lines.

    Args:
      path: the file.
      task: whose labels the texts get; case, blanks and marks of a label count only where they must.
      columns: where texts and labels stand.
      skip_bad_rows: leave out rows that cannot be used, such as those of other classes, and count them.

    Raises:
      ValueError: naming file, row and column of what cannot be read, or of a label that the task does not have.
    """
    text = columns.text[0] if len(columns.text) == 1 else columns.text
    read = TextColumns(text, label=columns.label)
    known: dict[str, str] = {}

    def row_fn(row: Mapping) -> TextRow:
        found = read(row)
        for label in found.labels:
            if label not in known:
                known[label] = _label(task, columns, label)
        return found._replace(labels=tuple(dict.fromkeys(known[label] for label in found.labels)))

    rows, report = read_file(path, row_fn, skip_bad_rows=skip_bad_rows)
    counts = dict.fromkeys(task.classes, 0)
    for row in rows:
        for label in row.labels:
            counts[label] += 1
    return Gold(rows, counts, report)


def _label(task: Task, columns: GoldColumns, given: str) -> str:
    """The label of the task that a label of a file means."""
    name = given
    if columns.names and given.isdecimal():
        if int(given) >= len(columns.names):
            raise ValueError(
                f"{columns.label}: {given} is beyond the {len(columns.names)} names of classes, which are "
                f"{', '.join(columns.names)}; name every class, in the order of the numbers from 0"
            )
        name = columns.names[int(given)]
    label = find_class(task, name)
    if label is not None:
        return label
    classes = list(task.classes)
    shown = ", ".join(classes[:_SHOWN]) + (f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else "")
    if name.isdecimal():
        remedy = "say which class each number is, by its name, in the order of the numbers from 0"
    else:
        remedy = "rename it in the file or in the task, or leave out such rows"
    raise ValueError(f"{columns.label}: {name!r} is no class of the task, whose classes are {shown}; {remedy}")
