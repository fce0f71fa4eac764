"""Tasks made of the attribute values that the model of the paper's authors wrote.

A folder holds ``attributes.parquet`` (columns dataset, attribute, class, label, value) and ``labels.parquet`` (dataset,
index, label).
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt.datasets import DATASETS, Chosen, Dataset
from jaxalign.attributes import (
    LENGTH,
    AttributeReport,
    AttributeValues,
    ClassAttribute,
    MergedValue,
    SharedAttribute,
    Task,
    match_classes,
    merge_values,
    read_attributes,
    read_labels,
)

SIMILAR = "similar"  # the attribute that names similar classes
MOST_SIMILAR = 5  # classes that prompts name as similar to one


class TaskReport(NamedTuple):
    """What of a data set's values did not come into its task as it was.

    Attributes:
      renamed: the label of each class name of the file that no label matched, and one is spelt like.
      left_out: how many values stand under each class name that nothing matches; they are in no task.
      unknown: for each label what is named as similar to it, and is no other class.
      short: how many similar classes were found, for each label with fewer than there should be.
      merged: values that became one, which has the labels of all.
      file: what reading the whole file met.
    """

    renamed: Mapping[str, str]
    left_out: Mapping[str, int]
    unknown: Mapping[str, tuple[str, ...]]
    short: Mapping[str, int]
    merged: tuple[MergedValue, ...]
    file: AttributeReport

    def lines(self) -> list[str]:
        """Returns a sentence for each count that is not 0, with names."""
        return list(_lines(self))


class DatasetTask(NamedTuple):
    """A task, and what did not come into it."""

    task: Task
    report: TaskReport


def read_dataset(folder: pathlib.Path, dataset: str) -> DatasetTask:
    """Reads the task of a data set from a folder of attribute values.

    Args:
      folder: holds attributes.parquet and labels.parquet.
      dataset: one of :data:`DATASETS`.

    Raises:
      FileNotFoundError: one of the files is missing.
      ValueError: the files are of other columns, or have nothing of this data set.
    """
    for name in ("attributes.parquet", "labels.parquet"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; expected a folder with attribute values")
    labels = read_labels(folder / "labels.parquet")
    pairs = [(of, label) for of, each in labels.items() for label in each]
    found = read_attributes(folder / "attributes.parquet", labels=pairs).report
    renames = {pair: label for pair, label in found.suggested.items() if pair[0] == dataset}
    values = read_attributes(folder / "attributes.parquet", labels=pairs, renames=renames)
    task, report = task_of(dataset, values, labels.get(dataset, ()))
    renamed = {name: label for (_, name), label in renames.items()}
    return DatasetTask(task, report._replace(renamed=renamed, file=found))


def task_of(dataset: str, values: AttributeValues, labels: Sequence[str]) -> DatasetTask:
    """Makes the task of a data set of the values of its attributes.

    Args:
      dataset: one of :data:`DATASETS`.
      values: as they were read.
      labels: of the data set, in their order.

    Returns:
      The task, with the lengths and the first similar classes that the values name. Where prompts of the data set name
      no similar ones, each class has an empty list of them; where they do and the values have none, they are left for a
      model to find. And what did not come into it.

    Raises:
      ValueError: the data set is not known, or values or labels of it are missing.
    """
    if dataset not in DATASETS:
        raise ValueError(f"expected one of the data sets {', '.join(DATASETS)}, got {dataset!r}")
    known = dict.fromkeys(of for of, _ in [*values.shared, *values.by_class])
    if dataset not in known:
        raise ValueError(
            f"{dataset}: there are no values of it, only of {', '.join(known)}; give a folder that has some"
        )
    if not labels:
        raise ValueError(f"{dataset}: there are values of it, and no labels; name its classes in labels.parquet")
    spec = DATASETS[dataset]
    classes = {label: spec.names.get(label, label.replace("_", " ")) for label in labels}
    attributes = [_attribute(values, dataset, chosen, classes) for chosen in spec.attributes]
    task = Task(spec.document, classes, tuple(attributes), lengths=_lengths(values, dataset))
    task, unknown, short = _with_similar(task, spec, values.by_class.get((dataset, SIMILAR)))
    merged = ()
    if spec.labels_from:
        attribute, merged = merge_values(task.attribute(spec.labels_from))
        task = dataclasses.replace(task.with_attribute(attribute), labels_from=spec.labels_from)
    left_out = _left_out(values, dataset, classes)
    return DatasetTask(task, TaskReport({}, left_out, unknown, short, merged, values.report))


def _attribute(
    values: AttributeValues, dataset: str, chosen: Chosen, classes: Mapping[str, str]
) -> SharedAttribute | ClassAttribute:
    attribute = values.attribute(dataset, chosen.source, name=chosen.name or chosen.source, phrase=chosen.phrase)
    if isinstance(attribute, ClassAttribute):
        kept = {label: attribute.values[label] for label in classes if label in attribute.values}
        return dataclasses.replace(attribute, values=kept, filtered=chosen.filtered)
    return attribute


def _lengths(values: AttributeValues, dataset: str) -> tuple[int, ...]:
    lengths = values.shared.get((dataset, LENGTH), ())
    if wrong := [length for length in lengths if not length.isdecimal()]:
        raise ValueError(
            f"{dataset}, length: expected whole numbers of words, got {wrong[0]!r}; write the least length"
        )
    return tuple(map(int, lengths))


def _with_similar(
    task: Task, spec: Dataset, named: Mapping[str, tuple[str, ...]] | None
) -> tuple[Task, dict[str, tuple[str, ...]], dict[str, int]]:
    """The task with its similar classes, what names no other class, and where there are too few."""
    if not spec.similar:
        return dataclasses.replace(task, similar=dict.fromkeys(task.classes, ())), {}, {}
    if named is None:
        return task, {}, {}
    most = min(MOST_SIMILAR, len(task.classes) - 1)
    similar, unknown, short = {}, {}, {}
    for label in task.classes:
        found = match_classes(named.get(label, ()), task)
        others = tuple(each for each in found.labels if each != label)[:most]
        if others:
            similar[label] = others
        if len(others) < most:
            short[label] = len(others)
        if names := (*found.unknown, *(each for each in found.labels if each == label)):
            unknown[label] = names
    return dataclasses.replace(task, similar=similar), unknown, short


def _left_out(values: AttributeValues, dataset: str, classes: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (of, _), by_class in values.by_class.items():
        for name, each in by_class.items():
            if of == dataset and name not in classes:
                counts[name] = counts.get(name, 0) + len(each)
    return counts


def _lines(report: TaskReport) -> Iterator[str]:
    file, unknown = report.file, [name for names in report.unknown.values() for name in names]
    if report.renamed:
        pairs = ", ".join(f"{name} for {label}" for name, label in report.renamed.items())
        yield f"Class names were taken for the label that is spelt alike ({len(report.renamed)}): {pairs}."
    if report.left_out:
        yield f"No label matches {_counted(report.left_out, ' values')}; these values were left out."
    if unknown:
        shown = ", ".join(dict.fromkeys(unknown))
        yield f"Similar classes are named that are no other class ({len(unknown)}): {shown}."
    if report.short:
        yield f"Too few similar classes are known ({len(report.short)} classes): {_counted(report.short)}."
    if report.merged:
        several = sum(len(each.labels) > 1 for each in report.merged)
        yield f"Nearly equal values became one: {len(report.merged)}, of which {several} have several labels."
    if file.repeated:
        yield f"Of the {file.rows} rows of the whole file {file.repeated} were repeated and left out."
    if file.preambles:
        shown = "; ".join(file.preambles)
        yield f"Of the values of the whole file {len(file.preambles)} are a chat's words and were left out: {shown}"


def _counted(counts: Mapping[str, int], unit: str = "") -> str:
    return ", ".join(f"{name} ({count}{unit})" for name, count in counts.items())
