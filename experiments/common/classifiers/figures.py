"""What a classifier gets right on a test set, with 95 % bootstrap intervals over texts."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from experiments.common.classifiers.settings import Trained
from experiments.common.classifiers.training import Labels, encode_labels
from experiments.common.task import Row, estimate
from jaxalign import metrics
from jaxalign.io.report import Estimate

DEPTHS = (1, 3, 5)  # of precision and NDCG
RESAMPLES = 2000  # of the test set, for intervals
NAMES = {"precision@": "P@", "ndcg@": "NDCG@", "mrr": "MRR"}

_ranking = jax.jit(
    jax.vmap(lambda scores, labels: metrics.label_ranking_metrics(scores[None], labels[None], topn=DEPTHS))
)


def evaluate(trained: Trained, texts: Sequence[str], labels: Labels) -> Row:
    """Looks at the test set once: accuracy and macro-F1, or with several labels F1s and how well the labels rank.

    Raises:
      ValueError: a label is no class, or labels are not of the kind that the classifier has learnt.
    """
    return score(trained.predict(texts), labels, trained.classes, several=trained.several)


def score(probabilities: Float[np.ndarray, "N C"], labels: Labels, classes: Sequence[str], *, several: bool) -> Row:
    """The figures of probabilities that are at hand.

    With one class a text the likeliest is what a text is given; with several, all of probability one half or more.
    Precision, NDCG and MRR leave out texts without any label, whose share is told.
    """
    targets = encode_labels(labels, classes)
    if (targets.ndim == 2) != several or len(targets) != len(probabilities):
        raise ValueError(
            f"expected {len(probabilities)} {'lists of labels' if several else 'labels'}, got {len(targets)} "
            f"{'lists of labels' if targets.ndim == 2 else 'labels'}"
        )
    if not several:
        given, true = (np.eye(len(classes), dtype=bool)[ids] for ids in (probabilities.argmax(axis=1), targets))
        figures = label_figures(given, true)
        return {"accuracy": figures["micro-F1"], "macro-F1": figures["macro-F1"]}  # micro-F1 of one class a text
    ranking = _ranking(jnp.asarray(probabilities), jnp.asarray(targets))
    ranks = {_name(name): estimate(each) for name, each in ranking.items() if each.denominator.any()}
    return label_figures(probabilities >= 0.5, targets > 0.5) | ranks


def label_figures(given: Bool[np.ndarray, "N C"], true: Bool[np.ndarray, "N C"], *, seed: int = 0) -> Row:
    """Micro- and macro-F1, as :func:`jaxalign.metrics.label_counts` has them, with percentile bootstrap intervals.

    Texts that are alike in what they are given and have are drawn together: the counts of a resample are multinomial.
    """
    kinds, counts = np.unique(np.concatenate([given, true], axis=1), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(given), counts / len(given), size=RESAMPLES)
    given, true = np.split(kinds, 2, axis=1)
    drawn = np.concatenate([counts[None], drawn]).astype(float)
    sums = [drawn @ kind for kind in (given & true, given, true)]
    return {"micro-F1": _estimate(_f1(*(each.sum(axis=1) for each in sums))), "macro-F1": _estimate(_macro_f1(*sums))}


def _estimate(values: Float[np.ndarray, "R"]) -> Estimate:
    """The first value, with the interval of the others."""
    return Estimate(float(values[0]), *map(float, np.quantile(values[1:], [0.025, 0.975])))


def _f1(hits: np.ndarray, given: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.divide(2 * hits, given + true, out=np.zeros_like(hits), where=given + true > 0)


def _macro_f1(hits: Float[np.ndarray, "R C"], given: Float[np.ndarray, "R C"], true: Float[np.ndarray, "R C"]):
    """The mean F1 of the classes that some text has or was given."""
    return _f1(hits, given, true).sum(axis=1) / np.maximum((given + true > 0).sum(axis=1), 1)


def _name(name: str) -> str:
    for long, short in NAMES.items():
        name = name.replace(long, short)
    return name
