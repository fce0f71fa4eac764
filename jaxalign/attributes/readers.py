"""Attribute values from parquet files, as texts, with everything named that is wrong with them."""

import collections
import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.attributes.task import ClassAttribute, SharedAttribute
from jaxalign.data import read_parquet
from jaxalign.data.readers.columns import value_of
from jaxalign.prompting import letters

_PREAMBLE = re.compile(
    r"as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|(?:sure|certainly|of course|okay|absolutely)[,!.]|here (?:are|is)\b.*:$|the following\b.*:$",
    re.IGNORECASE,
)
Pair = tuple[str, str]


class AttributeReport(NamedTuple):
    """What a reader of attribute values met.

    Attributes:
      rows: how many rows the file has.
      repeated: rows that equal an earlier one, which were left out.
      unlabelled: pairs of a data set and a class name that matches none of its labels. Their values stand under the
        class name.
      suggested: for some of these pairs the label that is spelt alike but for blanks and marks.
      preambles: the values that are a chat's first sentence rather than a value, which were left out.
    """

    rows: int
    repeated: int
    unlabelled: tuple[Pair, ...]
    suggested: Mapping[Pair, str]
    preambles: tuple[str, ...]


class AttributeValues(NamedTuple):
    """Values by data set and attribute, in the order of their rows, and a report of how reading them went.

    Attributes:
      shared: for a data set and an attribute without classes its values.
      by_class: for a data set and an attribute with classes the values of each label.
      report: what was repeated, unlabelled or no value.
    """

    shared: Mapping[Pair, tuple[str, ...]]
    by_class: Mapping[Pair, Mapping[str, tuple[str, ...]]]
    report: AttributeReport

    def attribute(self, dataset: str, attribute: str, *, name: str, phrase: str) -> SharedAttribute | ClassAttribute:
        """Returns the values of one attribute of a data set, for a task.

        Args:
          dataset: the name of the data set in the file.
          attribute: the name of the attribute in the file.
          name: its key in the task.
          phrase: what prompts call it.

        Raises:
          ValueError: the file has none of these names; the message has those of the data set.
        """
        pair = dataset, attribute
        if pair in self.shared:
            return SharedAttribute(name, phrase, self.shared[pair])
        if pair in self.by_class:
            return ClassAttribute(name, phrase, self.by_class[pair])
        known = sorted(each for of, each in [*self.shared, *self.by_class] if of == dataset)
        raise ValueError(f"{dataset}: expected one of its attributes, {', '.join(known) or 'none'}, got {attribute!r}")


def read_attributes(
    path: str | os.PathLike, *, labels: Sequence[Pair] = (), renames: Mapping[Pair, str] | None = None
) -> AttributeValues:
    """Reads attribute values with the columns dataset, attribute, class, label and value from a parquet file.

    A value stays the text that it is, digits at its beginning included. Values of a class stand under its label, and
    under the class name where no label matches it.

    Args:
      path: the file.
      labels: pairs of a data set and one of its labels, from :func:`read_labels`, for suggestions in the report. Labels
        of the file itself are known.
      renames: the label of a pair of data set and class name that the file has without one.

    Returns:
      The values, and a report with counts and names.

    Raises:
      ValueError: naming file, row and field of a value that is no text.
    """
    rows, report = read_parquet(path, _row)
    renames = renames or {}
    known = {*labels, *((row.dataset, row.label) for row in rows if row.label)}
    distinct = list(dict.fromkeys(rows))
    preambles = tuple(row.value for row in distinct if _PREAMBLE.match(row.value))
    shared, by_class = collections.defaultdict(list), collections.defaultdict(lambda: collections.defaultdict(list))
    unlabelled: dict[Pair, None] = {}
    for row in distinct:
        pair = row.dataset, row.class_name
        if row.class_name and not row.label and pair not in renames:
            unlabelled[pair] = None
        if _PREAMBLE.match(row.value):
            continue
        if row.class_name:
            values = by_class[row.dataset, row.attribute][row.label or renames.get(pair, row.class_name)]
        else:
            values = shared[row.dataset, row.attribute]
        if row.value not in values:  # a renamed class may repeat what its label has
            values.append(row.value)
    return AttributeValues(
        {pair: tuple(values) for pair, values in shared.items()},
        {pair: {label: tuple(each) for label, each in of.items()} for pair, of in by_class.items()},
        AttributeReport(
            report.rows, len(rows) - len(distinct), tuple(unlabelled), _suggest(unlabelled, known), preambles
        ),
    )


def read_labels(path: str | os.PathLike) -> dict[str, tuple[str, ...]]:
    """Reads the labels of each data set, in the order of their index, from a parquet file of dataset, index and label.

    Args:
      path: the file.

    Raises:
      ValueError: naming file, row and field of what is missing.
    """
    rows, _ = read_parquet(path, lambda row: tuple(value_of(row, name) for name in ("dataset", "index", "label")))
    labels = collections.defaultdict(list)
    for dataset, _, label in sorted(rows, key=lambda row: row[1]):
        labels[dataset].append(label)
    return {dataset: tuple(each) for dataset, each in labels.items()}


class _Row(NamedTuple):
    dataset: str
    attribute: str
    class_name: str
    label: str
    value: str


def _row(row: Mapping) -> _Row:
    fields = [value_of(row, name) for name in ("dataset", "attribute", "class", "label", "value")]
    if not isinstance(fields[-1], str) or not fields[-1].strip():
        raise ValueError(f"value: expected a text, got {fields[-1]!r}; write numbers as texts too")
    return _Row(*fields[:-1], " ".join(fields[-1].split()))


def _suggest(unlabelled: Mapping[Pair, None], known: set[Pair]) -> dict[Pair, str]:
    spelt = {(dataset, letters(label)): label for dataset, label in sorted(known)}
    return {pair: spelt[pair[0], letters(pair[1])] for pair in unlabelled if (pair[0], letters(pair[1])) in spelt}
