"""How right sets and rankings of classes are, with 95 % bootstrap intervals over texts."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from experiments.teleclass.methods import Answers, Test
from experiments.teleclass.pipeline import Labelled
from jaxalign import metrics
from jaxalign.numerics import Ratio
from jaxalign.taxonomy import Taxonomy


def table(answers: Mapping[str, Answers], test: Test, taxonomy: Taxonomy) -> Figures:
    """Returns the figures of each method on the test texts."""
    return {name: _row(each, test.labels, taxonomy) for name, each in answers.items()}


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
