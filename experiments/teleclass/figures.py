"""How right sets and rankings of classes are, with 95 % bootstrap intervals over texts."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from experiments.common.report import Figures
from experiments.common.task import EstimatesFn, estimates, exactly
from experiments.teleclass import tree
from experiments.teleclass.methods import FULL, METHODS, SUPERVISED, Answers
from experiments.teleclass.pipeline import Labelled
from experiments.teleclass.study import Study, Test
from jaxalign import metrics
from jaxalign.io.report import Facts, Section, Table
from jaxalign.numerics import Ratio
from jaxalign.taxonomy import Taxonomy

SHOWN = 8  # names of no class
RARE = 10  # texts to learn from, below which a class is rare


def table(
    answers: Mapping[str, Answers], test: Test, taxonomy: Taxonomy, estimates: EstimatesFn = estimates
) -> Figures:
    """Returns the figures of each method on the test texts.

    Args:
      estimates: makes figures of a number for each text; :func:`experiments.common.task.points` has no intervals, where
        those over seeds will stand in their place.
    """
    ratios = {
        (name, metric): ratio
        for name, each in answers.items()
        for metric, ratio in _ratios(each, test.labels, taxonomy).items()
    }
    rows: dict[str, dict] = {name: {} for name in answers}
    for (name, metric), figure in estimates(ratios).items():
        rows[name][metric] = figure
    return {
        name: row | {"tokens": exactly(answers[name].tokens), "unread": exactly(answers[name].unread)}
        for name, row in rows.items()
    }


def against(figures: Figures) -> Figures:
    """Returns by how much TELEClass is above each other method, of one seed."""
    full = figures[FULL]["Example-F1"].value
    return {
        name: {"Example-F1": exactly(full - row["Example-F1"].value)} for name, row in figures.items() if name != FULL
    }


def _ratios(answers: Answers, labels: Bool[np.ndarray, "N C"], taxonomy: Taxonomy) -> dict[str, Ratio]:
    """Example-F1 and hierarchical F1 of the set, P@k and MRR of the ranking as the paper and its code have them."""
    one = functools.partial(_each, labels=labels)
    ancestors = jnp.asarray(taxonomy.ancestors)
    return {
        "Example-F1": one(metrics.example_f1_metric, answers.sets),
        "P@1": one(metrics.attainable_precision_metric, answers.scores, topn=1),
        "P@3": one(metrics.attainable_precision_metric, answers.scores, topn=3),
        "P@3, code": one(metrics.precision_metric, answers.scores, topn=3),
        "MRR": one(metrics.label_mrr_metric, answers.scores),
        "MRR, code": one(metrics.filtered_mrr_metric, answers.scores),
        "hierarchical F1": one(metrics.hierarchical_metrics, answers.sets, ancestors=ancestors)["f1"],
    }


def _each(metric: Callable, values: np.ndarray, *, labels: Bool[np.ndarray, "N C"], ancestors=None, **options):
    """Returns the metric of each text by itself, to resample."""
    more = () if ancestors is None else (ancestors,)
    return _by_text(metric, tuple(options.items()))(jnp.asarray(values), jnp.asarray(labels, jnp.float32), *more)


@functools.cache
def _by_text(metric: Callable, options: tuple):
    def one(values, labels, *more):
        return metric(values[None], labels[None], *more, **dict(options))

    return jax.jit(lambda values, labels, *more: jax.vmap(lambda *row: one(*row, *more))(values, labels))


def pseudo_labels(
    labelled: Mapping[str, Labelled],
    truth: Bool[np.ndarray, "N C"],
    taxonomy: Taxonomy,
    estimates: EstimatesFn = estimates,
) -> Figures:
    """Returns how right core classes are before and after refinement, closed upwards, of all and of those kept."""
    ratios, texts = {}, {}
    for name, each in labelled.items():
        kept = each.refined.kept
        for said, cores, of in (
            ("as annotated", each.annotated.cores, np.ones(len(kept), bool)),
            ("as annotated, those kept", each.annotated.cores, kept),
            ("refined", each.refined.cores, np.ones(len(kept), bool)),
            ("refined, those kept", each.refined.cores, kept),
        ):
            given, row = taxonomy.close_upwards(cores[of]), f"{name}, {said}"
            both = 2 * (given & truth[of]).sum(axis=1), given.sum(axis=1) + truth[of].sum(axis=1)
            ratios[row, "F1"], texts[row] = Ratio(*both), {"texts": exactly(int(of.sum()))}
        found = (each.annotated.candidates & truth).sum(axis=1), truth.sum(axis=1)
        ratios[f"{name}, candidates", "recall"] = Ratio(*found)
    return {row: {figure: each} | texts.get(row, {}) for (row, figure), each in estimates(ratios).items()}


def labelled_by(study: Study, names: tuple[str, ...]) -> dict[str, Labelled]:
    """Returns the core classes of each of some methods that finds some of its own."""
    return {name: getattr(study, stage) for name in names if (stage := METHODS[name].labelled)}


def sections(answers: Mapping[str, Answers], study: Study, truth: Bool[np.ndarray, "N C"] | None) -> list[Section]:
    """Shows the levels of the taxonomy, what could not be read, and where classes stay without a document."""
    shown: list[Section] = []
    by_level = {name: answers[name] for name in (FULL, SUPERVISED) if name in answers}
    if by_level and len(study.test.texts):
        rows = [
            (said, int(of.sum()), *(_pair_f1(each.sets[:, of], study.test.labels[:, of]) for each in by_level.values()))
            for said, of in _groups(study, truth).items()
        ]
        header = ("", "classes", *(f"F1 of {name}" for name in by_level))
        shown.append(Table("Figures by level, seed 0", header, rows))
    if FULL in answers:
        shown.append(Facts("What became of the documents, seed 0", _counts(study)))
        shown.append(tree.tree_of(study.corpus.taxonomy, study.labelled, answers[FULL], study.test, "Taxonomy, seed 0"))
    return shown


def _groups(study: Study, truth: Bool[np.ndarray, "N C"] | None) -> dict[str, Bool[np.ndarray, "C"]]:
    """Classes by level, and those with few texts or none among the documents to learn from."""
    taxonomy = study.corpus.taxonomy
    groups = {f"level {level}": taxonomy.levels == level for level in range(taxonomy.depth)}
    if truth is not None:
        counts, tested = truth.sum(axis=0), study.test.labels.any(axis=0)
        groups["classes without a document"] = tested & (counts == 0)
        groups[f"rare classes, of 1 to {RARE - 1} documents"] = tested & (counts > 0) & (counts < RARE)
    return groups


def _counts(study: Study) -> dict[str, object]:
    taxonomy, labelled = study.corpus.taxonomy, study.labelled
    counts = {
        "documents": len(study.corpus.texts),
        "documents learnt from, those that are most certain": int(labelled.refined.kept.sum()),
        "documents written for paths": len(study.documents),
        "classes that are no document's core": int((~labelled.refined.cores.any(axis=0)).sum()),
        "of these, on no path of a written document": _unreachable(study),
        "classes": len(taxonomy),
    }
    if (said := labelled.annotated.report) is None:
        return counts | {"core classes were picked": "by similarity; a model would pick them among the candidates"}
    unknown = [f"{name} ({count})" for name, count in list(said.unknown.items())[:SHOWN]]
    return counts | {
        "documents without a class": f"{said.without_class} of {said.documents}",
        "classes named that were no candidates": sum(said.outside.values()),
        "names of no class": ", ".join(unknown) or "none",
    }


def _unreachable(study: Study) -> int:
    reached = study.labelled.refined.cores.any(axis=0)
    reached = study.corpus.taxonomy.close_upwards(reached)
    for document in study.documents:
        reached[list(document.path)] = True
    return int((~reached).sum())


def _pair_f1(given: Bool[np.ndarray, "N c"], true: Bool[np.ndarray, "N c"]) -> float:
    """The F1 of all pairs of text and class."""
    return float(2 * (given & true).sum() / max(given.sum() + true.sum(), 1))
