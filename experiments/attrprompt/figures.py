"""What a report shows of generated data: what became of the requests, how varied and how biased the texts are."""

import collections
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from experiments.attrprompt.comparison import AGAINST_BEST, BY_COST, GOLD, HEADLINES, Real, Texts, headline, texts_of
from experiments.attrprompt.methods import ATTRPROMPT, SIMPROMPT, Written
from experiments.attrprompt.preparing import told_stages
from experiments.attrprompt.storage import Row
from experiments.attrprompt.worlds import Ground, TruthFn
from experiments.common.report import Figures
from experiments.common.task import Row as FigureRow
from experiments.common.task import exactly
from jaxalign import attributes, metrics
from jaxalign.attributes import LENGTH, ClassAttribute, Task
from jaxalign.io.report import Curves, Estimate, Facts, Groups, Section, Table
from jaxalign.typing import EmbedFn

DIVERSITY = "diversity, at equal documents"
SHOWN = 20  # documents of each class and method
SUBSAMPLES = 10  # of as many documents as the smallest set has, over which diversity is averaged
MOST_VALUES = 12  # of an attribute, whose shares are shown
NOTES = 60
_NONE = collections.Counter()


def sections(figures: Mapping[str, Figures], written: Mapping[str, Written], ground: Ground, count: int) -> list:
    """Returns what a report shows beside its tables, of the first seed.

    Args:
      figures: by comparison and method, of all seeds.
      written: by method.
      ground: the task and real texts.
      count: documents of all classes together that every method wrote.
    """
    return [
        *cost_curve(figures.get(BY_COST, {})),
        outcomes(written),
        *attribute_tables(written, ground, count),
        *documents(written, written[ATTRPROMPT].task),
        *notes(written),
    ]


def diversity(written: Mapping[str, Written], real: Real, embed: EmbedFn, count: int) -> Figures:
    """Returns how varied the texts of each method and real ones are, as many of each.

    Args:
      written: by method.
      real: real texts, of which those to learn from are compared.
      embed: gives the embedding of each text.
      count: documents of all classes together that every method wrote.
    """
    sets = {method: texts_of(each.rows[:count]) for method, each in written.items()}
    if real.train.texts:
        sets[GOLD] = real.train
    least = min(len(texts.texts) for texts in sets.values())
    return {name: _diversity(texts, embed, least) for name, texts in sets.items()}


def _diversity(texts: Texts, embed: EmbedFn, count: int) -> FigureRow:
    words = list(texts.texts)
    embeddings, labels = embed(words), [labels[0] if labels else "" for labels in texts.labels]
    statistics: dict[str, tuple[Callable, tuple]] = {
        "words": (metrics.vocabulary_size, (words,)),
        "distinct 2-grams": (lambda some: metrics.distinct_n(some, n=2).value, (words,)),
        "3-grams of other texts": (lambda some: metrics.inter_sample_ngram_frequency(some, n=3).value, (words,)),
        "similarity within classes": (lambda *some: metrics.intra_class_similarity(*some).value, (embeddings, labels)),
        "similarity between classes": (lambda *some: metrics.inter_class_similarity(*some).value, (embeddings, labels)),
        "length": (lambda some: float(np.mean([len(text.split()) for text in some])), (words,)),
    }
    return {
        name: exactly(metrics.at_equal_counts(statistic, *columns, count=count, num_subsamples=SUBSAMPLES).mean)
        for name, (statistic, columns) in statistics.items()
    }


def outcomes(written: Mapping[str, Written]) -> Table:
    """Shows what became of the requests of each method, refusals and failures by their reason, and where most are."""
    rows = []
    for method, each in written.items():
        report = attributes.report_documents([row.document for row in each.rows])
        reasons = functools.reduce(
            collections.Counter.__add__, map(collections.Counter, report.missing.values()), _NONE
        )
        missing = {label: sum(by.values()) for label, by in report.missing.items()}
        shares = {
            label: missing.get(label, 0) / (missing.get(label, 0) + report.written.get(label, 0))
            for label in dict.fromkeys([*report.written, *report.missing])
        }
        least, most = (
            f"{shares[of]:.1%} ({each.task.classes[of]})"
            for of in (min(shares, key=shares.get), max(shares, key=shares.get))
        )
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(4)) or "none"
        rows.append((method, len(each.rows), said, least, most, report.preambles, report.repeated))
    caption = (
        "Documents without a text are dropped; where classes lose unequal shares of them, the data are biased. These "
        "are the documents of the first seed."
    )
    columns = ("method", "requests", "without a text", "least of a class", "most of a class", "chat preambles")
    return Table("What became of the requests", (*columns, "repeated texts"), rows, caption)


def attribute_tables(written: Mapping[str, Written], ground: Ground, count: int) -> list[Table]:
    """Shows the values that documents have of each attribute, by method: as read in the texts, or as asked for.

    Args:
      written: by method.
      ground: the task and real texts; where the world is not known, the values that were asked for are shown.
      count: documents of all classes together that every method wrote.
    """
    tables = []
    for attribute in written[ATTRPROMPT].task.attributes:
        found = dict(_values(written, ground.real, attribute.name, ground.truth, count))
        reference = collections.Counter(value for value in found.get(GOLD, ()) if value is not None)
        tables.append(_attribute_table(attribute, found, reference))
    return tables


def _values(
    written: Mapping[str, Written], real: Real, name: str, truth: TruthFn | None, count: int
) -> Iterator[tuple[str, list[str | None]]]:
    for method, each in written.items():
        documents = [row.document for row in each.rows[:count] if row.document.text is not None]
        if truth is not None:
            yield method, [truth(document.text).get(name) for document in documents]
        elif any(document.assignment.values for document in documents):
            yield method, [dict(document.assignment.values).get(name) for document in documents]
    if truth is not None:
        yield GOLD, [truth(text).get(name) for text in real.train.texts]


def _attribute_table(
    attribute: attributes.Attribute, found: Mapping[str, list[str | None]], reference: collections.Counter
) -> Table:
    shares = {method: metrics.attribute_shares(values, expected=list(reference)) for method, values in found.items()}
    frequent = collections.Counter()
    for table in shares.values():
        frequent.update(dict(zip(table.values, map(int, table.counts), strict=True)))
    shown = [value for value, _ in frequent.most_common(MOST_VALUES)]
    rows: list[tuple[Any, ...]] = [(value, *(_share(table, value) for table in shares.values())) for value in shown]
    caption = f"Shares of documents of the first seed, with 95 % Wilson intervals; {len(frequent)} values in all."
    if reference:
        distances = [metrics.distance_to_reference(table, reference) for table in shares.values()]
        rows.append(("distance to real texts", *(Estimate(each.distance, each.low, each.high) for each in distances)))
        caption += " The distance is the total variation, with a 95 % interval."
    else:
        caption += " These are the values that were asked for."
    kind = "depends on the class" if isinstance(attribute, ClassAttribute) else "is the same for all classes"
    return Table(f"Attribute: {attribute.phrase}", ("value", *shares), rows, f"The list of values {kind}. {caption}")


def _share(table: metrics.AttributeShares, value: str) -> Estimate | str:
    if value not in table.values:
        return ""
    place = table.values.index(value)
    return Estimate(*(float(part[place]) for part in (table.shares, table.low, table.high)))


def cost_curve(figures: Figures) -> list[Section]:
    """Draws accuracy by requests, those of the stages included."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    rows = {
        name: row for name, row in figures.items() if name != AGAINST_BEST and any(map(row.__contains__, HEADLINES))
    }
    for name, row in rows.items():
        x, y = series.setdefault(name.partition(", ")[0], ([], []))
        x.append(row["requests"].value)
        y.append(row[headline(row)].value)
    if not rows:
        return []
    caption = "Requests for similar classes, values and filtering are counted; means over seeds."
    label = f"{headline(next(iter(rows.values())))} on real texts"
    return [Curves("Accuracy by cost", series, "requests", label, caption)]


def documents(written: Mapping[str, Written], task: Task) -> list[Groups]:
    """Shows the first documents of each class, with the values that each was asked to have."""
    sections = []
    for method in (ATTRPROMPT, SIMPROMPT):
        by_label: dict[str, list[Row]] = {label: [] for label in task.classes}
        for row in written[method].rows if method in written else ():
            if row.document.text is not None:
                by_label[row.document.assignment.label].append(row)
        groups = {
            f"{task.classes[label]} ({len(rows)})": [_sample(row, task) for row in rows[:SHOWN]]
            for label, rows in by_label.items()
            if rows
        }
        caption = f"The first {SHOWN} of each class; all are in documents*.jsonl in the folder of the method."
        sections.append(Groups(f"Documents of {method}", groups, caption))
    return [section for section in sections if section.groups]


def _sample(row: Row, task: Task) -> dict[str, str]:
    shown = dict(row.document.assignment.values)
    shown = {task.attribute(name).phrase if name != LENGTH else name: value for name, value in shown.items()}
    if row.document.labels != (row.document.assignment.label,):
        shown["classes"] = ", ".join(task.classes[label] for label in row.document.labels)
    values = "; ".join(f"{name}: {value}" for name, value in shown.items())
    return {values or "the class alone": row.document.text or ""}


def notes(written: Mapping[str, Written]) -> list[Section]:
    """Shows what the stages have to say: values that were dropped, lists that came out short."""
    told = told_stages(written[ATTRPROMPT].stages)
    if not told:
        return []
    more = f"; {len(told) - NOTES} more are in stages.json" if len(told) > NOTES else ""
    return [Facts("What the stages have to say", {"notes": told[:NOTES]}, f"{len(told)} notes{more}.")]
