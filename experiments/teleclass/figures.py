"""How right sets and rankings of classes are, with 95 % bootstrap intervals over texts."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from experiments.teleclass import tree
from experiments.teleclass.methods import FULL, SUPERVISED, Answers, Test
from experiments.teleclass.pipeline import Labelled
from experiments.teleclass.worlds import Made
from jaxalign import metrics
from jaxalign.io.report import Facts, Section, Table
from jaxalign.numerics import Ratio
from jaxalign.taxonomy import Taxonomy

SHOWN = 8  # classes whose terms a report shows, and names of no class


def table(answers: Mapping[str, Answers], test: Test, taxonomy: Taxonomy) -> Figures:
    """Returns the figures of each method on the test texts."""
    return {name: _row(each, test.labels, taxonomy) for name, each in answers.items()}


def against(figures: Figures) -> Figures:
    """Returns by how much TELEClass is above each other method, of one seed."""
    full = figures[FULL]["Example-F1"].value
    return {
        name: {"Example-F1": exactly(full - row["Example-F1"].value)} for name, row in figures.items() if name != FULL
    }


def _row(answers: Answers, labels: Bool[np.ndarray, "N C"], taxonomy: Taxonomy) -> Row:
    """Example-F1 of the set, P@1, P@3 (of as many as a text has), MRR of all labels, hierarchical F1, and the cost."""
    one = functools.partial(_each, labels=labels)
    ancestors = jnp.asarray(taxonomy.ancestors)
    return {
        "Example-F1": estimate(one(metrics.example_f1_metric, answers.sets)),
        "P@1": estimate(one(metrics.attainable_precision_metric, answers.scores, topn=1)),
        "P@3": estimate(one(metrics.attainable_precision_metric, answers.scores, topn=3)),
        "MRR": estimate(one(metrics.label_mrr_metric, answers.scores)),
        "hierarchical F1": estimate(one(metrics.hierarchical_metrics, answers.sets, ancestors=ancestors)["f1"]),
        "tokens": exactly(answers.tokens),
        "unread": exactly(answers.unread),
    }


def _each(metric: Callable, values: np.ndarray, *, labels: Bool[np.ndarray, "N C"], ancestors=None, **options):
    """Returns the metric of each text by itself, to resample."""
    more = () if ancestors is None else (ancestors,)
    return _by_text(metric, tuple(options.items()))(jnp.asarray(values), jnp.asarray(labels), *more)


@functools.cache
def _by_text(metric: Callable, options: tuple):
    def one(values, labels, *more):
        return metric(values[None], labels[None], *more, **dict(options))

    return jax.jit(lambda values, labels, *more: jax.vmap(lambda *row: one(*row, *more))(values, labels))


def pseudo_labels(labelled: Mapping[str, Labelled], truth: Bool[np.ndarray, "N C"], taxonomy: Taxonomy) -> Figures:
    """Returns how right core classes are before and after refinement, closed upwards, of all and of those kept."""
    rows = {}
    for name, each in labelled.items():
        kept = each.refined.kept
        for said, cores, of in (
            ("as annotated", each.annotated, np.ones(len(kept), bool)),
            ("as annotated, those kept", each.annotated, kept),
            ("refined", each.refined.cores, np.ones(len(kept), bool)),
            ("refined, those kept", each.refined.cores, kept),
        ):
            given = taxonomy.close_upwards(cores[of])
            f1 = Ratio(2 * (given & truth[of]).sum(axis=1), given.sum(axis=1) + truth[of].sum(axis=1))
            rows[f"{name}, {said}"] = {"F1": estimate(f1), "texts": exactly(int(of.sum()))}
        candidates = (each.candidates & truth).sum(axis=1), truth.sum(axis=1)
        rows[f"{name}, candidates"] = {"recall": estimate(Ratio(*candidates))}
    return rows


def sections(answers: Mapping[str, Answers], labelled: Mapping[str, Labelled], made: Made) -> list[Section]:
    """Shows the levels of the taxonomy, terms of classes, what could not be read, and what some texts are given."""
    taxonomy, full = made.corpus.taxonomy, labelled[FULL]
    levels = [
        (f"level {level}", int(of.sum()), _level_f1(answers[FULL], made, of), _level_f1(answers[SUPERVISED], made, of))
        for level in range(taxonomy.depth)
        for of in [taxonomy.levels == level]
    ]
    silent = np.isin(np.arange(len(taxonomy)), list(made.world.silent))
    levels.append(
        (
            "classes without a document",
            int(silent.sum()),
            *(_level_f1(answers[name], made, silent) for name in (FULL, SUPERVISED)),
        )
    )
    named = [(taxonomy.names[number], " ".join(full.terms[number][1:])) for number in taxonomy.leaves[:SHOWN]]
    said = full.annotations
    counts = {
        "documents without a class": f"{said.without_class} of {said.documents}",
        "classes named that were no candidates": sum(said.outside.values()),
        "names of no class": ", ".join(f"{name} ({count})" for name, count in list(said.unknown.items())[:SHOWN])
        or "none",
    }
    return [
        Table("Figures by level, seed 0", ("", "classes", f"F1 of {FULL}", f"F1 of {SUPERVISED}"), levels),
        Table("Terms of the first leaves, seed 0", ("class", "terms of the model and of the corpus"), named),
        Facts("What the model answered about documents, seed 0", counts),
        tree.tree_of(taxonomy, full, answers[FULL], made.test, "Taxonomy, seed 0"),
    ]


def _level_f1(answers: Answers, made: Made, classes: Bool[np.ndarray, "C"]) -> float:
    """The F1 of all pairs of text and class, of some classes."""
    given, true = answers.sets[:, classes], made.test.labels[:, classes]
    return float(2 * (given & true).sum() / max(given.sum() + true.sum(), 1))
