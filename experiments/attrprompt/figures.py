"""What a report shows of generated data: what became of the requests, how varied and how biased the texts are."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.attrprompt.comparison import BY_COST, GOLD, Real, Texts, texts_of
from experiments.attrprompt.methods import ATTRPROMPT, SIMPROMPT, Written
from experiments.attrprompt.preparing import told_stages
from experiments.attrprompt.storage import Row
from experiments.attrprompt.worlds import Ground, TruthFn
from experiments.common.report import Figures
from experiments.common.task import Row as FigureRow
from experiments.common.task import exactly
from jaxalign import attributes, metrics
from jaxalign.attributes import ClassAttribute, Task
from jaxalign.io.report import Curves, Estimate, Facts, Section, Table
from jaxalign.io.report import Texts as ShownTexts

EmbedFn = Callable[[Sequence[str]], Float[np.ndarray, "N D"]]
DIVERSITY = "diversity, at equal documents"
SHOWN = 4  # documents of each class and method
MOST_CLASSES = 6  # of which documents are shown
MOST_VALUES = 12  # of an attribute, whose shares are shown
NOTES = 60


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
        *documents(written, ground.task),
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
        name: exactly(metrics.at_equal_counts(statistic, *columns, count=count).mean)
        for name, (statistic, columns) in statistics.items()
    }


def outcomes(written: Mapping[str, Written]) -> Table:
    """Shows what became of the requests of each method and class, refusals and failures by their reason."""
    rows = []
    for method, each in written.items():
        report = attributes.report_documents([row.document for row in each.rows])
        missing = {label: sum(by.values()) for label, by in report.missing.items()}
        reasons = collections.Counter()
        for by in report.missing.values():
            reasons.update(by)
        labels = dict.fromkeys([*report.written, *report.missing])
        shares = [missing.get(label, 0) / (missing.get(label, 0) + report.written.get(label, 0)) for label in labels]
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(4)) or "none"
        rows.append(
            (method, len(each.rows), said, f"{min(shares):.1%} to {max(shares):.1%}", report.preambles, report.repeated)
        )
    caption = "Documents without a text are dropped; where classes lose unequal shares of them, the data are biased."
    columns = ("method", "requests", "without a text", "share by class", "chat preambles", "repeated texts")
    return Table("What became of the requests", columns, rows, caption)


def attribute_tables(written: Mapping[str, Written], ground: Ground, count: int) -> list[Table]:
    """Shows the values that documents have of each attribute, by method: as read in the texts, or as asked for.

    Args:
      written: by method.
      ground: the task and real texts; where the world is not known, the values that were asked for are shown.
      count: documents of all classes together that every method wrote.
    """
    tables = []
    for attribute in written[ATTRPROMPT].stages[-1].task.attributes:
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
    caption = f"Shares of documents, with 95 % Wilson intervals; {len(frequent)} values in all."
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
    for name, row in figures.items():
        method, behind, _ = name.partition(", ")
        if "texts" in row and behind:
            x, y = series.setdefault(method, ([], []))
            x.append(row["requests"].value)
            y.append(row["accuracy"].value)
    caption = "Requests for similar classes, values and filtering are counted; means over seeds."
    return [Curves("Accuracy by cost", series, "requests", "accuracy on real texts", caption)] if series else []


def documents(written: Mapping[str, Written], task: Task) -> list[ShownTexts]:
    """Shows the first documents of some classes, with the values that each was asked to have."""
    sections = []
    for method in (ATTRPROMPT, SIMPROMPT):
        rows = [row for row in written.get(method, Written((), ())).rows if row.document.text is not None]
        samples = [
            _sample(row, task)
            for label in list(task.classes)[:MOST_CLASSES]
            for row in [each for each in rows if each.document.assignment.label == label][:SHOWN]
        ]
        caption = (
            f"The first {SHOWN} of up to {MOST_CLASSES} classes; all are in documents.jsonl in the method's folder."
        )
        sections.append(ShownTexts(f"Documents of {method}", samples, caption))
    return [section for section in sections if section.samples]


def _sample(row: Row, task: Task) -> dict[str, str]:
    values = "; ".join(f"{name}: {value}" for name, value in row.document.assignment.values)
    names = ", ".join(task.classes[label] for label in row.document.labels)
    return {"class": names, "asked for": values or "the class alone", "document": row.document.text or ""}


def notes(written: Mapping[str, Written]) -> list[Section]:
    """Shows what the stages have to say: values that were dropped, lists that came out short."""
    told = told_stages(written[ATTRPROMPT].stages)
    if not told:
        return []
    more = f"; {len(told) - NOTES} more are in stages.json" if len(told) > NOTES else ""
    return [Facts("What the stages have to say", {"notes": told[:NOTES]}, f"{len(told)} notes{more}.")]
