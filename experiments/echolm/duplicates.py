"""Real near-duplicates: what the nearest question is good for, as an example (same topic) or as the answer (reuse).

Pairs of questions say whether both mean the same. Questions that pairs link, whatever they say, are of one topic, and
those that pairs of the same meaning link are one question. Unlabelled pairs count as different: figures of retrieved
neighbours are lower bounds. Intervals are over topics, since the pairs of a topic share its difficulty.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.common.report import Figures
from experiments.common.task import estimates
from experiments.echolm.question_pairs import Pairs, components, pieces, tfidf_cosines, words
from jaxalign import serving
from jaxalign.io.report import Estimate
from jaxalign.numerics import Ratio
from jaxalign.typing import EmbedFn

THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95)
REUSE = 0.8
"""The cosine above which a semantic cache gives the stored answer, unless told otherwise."""
BATCH = 64  # queries of one search


class Mistake(NamedTuple):
    """A pair that reuse takes for one question, and is not."""

    cosine: float
    first: str
    second: str


class Duplicates(NamedTuple):
    """Tables of figures by title, and some pairs that reuse gets wrong."""

    tables: Mapping[str, Figures]
    mistakes: Sequence[Mistake]


def measure(embed: EmbedFn, pairs: Pairs, *, queries: int = 5000, resamples: int = 1000, seed: int = 0) -> Duplicates:
    """Measures reuse on the labelled pairs, and retrieval among all questions.

    Args:
      embed: makes embeddings of texts.
      pairs: the pairs; both meanings must be among them.
      queries: how many questions look for their nearest among all others; drawn.
      resamples: how often topics are drawn for the interval of the area under the curve.
      seed: draws queries, topics, and the mistakes to show.

    Returns:
      The tables: the area under the ROC curve of both similarities; precision and recall of reuse by threshold, on
      labelled pairs; how many of the k nearest of other questions are of the query's topic; and what the nearest one is
      by threshold.

    Raises:
      ValueError: if all pairs mean the same, or none.
    """
    if pairs.same.all() or not pairs.same.any():
        raise ValueError(f"expected pairs of both labels, got {len(pairs.same)} of one; give others too")
    rows = np.asarray(embed(pairs.texts), np.float32)
    topics, meanings = components(pairs), components(pairs, pairs.same)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.sum(units[pairs.first] * units[pairs.second], axis=1)
    similarities = {
        "embeddings": cosines,
        "TF-IDF of words": tfidf_cosines(pairs, words),
        "TF-IDF of pieces": tfidf_cosines(pairs, pieces),
    }
    groups, rng = topics[pairs.first], np.random.default_rng(seed)
    area = {
        name: {"AUC": area_under_roc(found, pairs.same, groups, resamples, rng)} for name, found in similarities.items()
    }
    nearest, near, asked = find_nearest(units, min(queries, len(units)), rng)
    tables = {
        "Same meaning or not, labelled pairs": area,
        "Reuse by threshold, labelled pairs": by_threshold(similarities, pairs.same, groups),
        "Nearest of all other questions": _by_rank(nearest, asked, topics, meanings),
        "The nearest question by threshold": _nearest_by_threshold(nearest[:, 0], near[:, 0], asked, topics, meanings),
    }
    return Duplicates(tables, mistakes(pairs, cosines, rng))


def area_under_roc(
    scores: Float[np.ndarray, "P"],
    labels: Bool[np.ndarray, "P"],
    groups: Int[np.ndarray, "P"],
    resamples: int,
    rng: np.random.Generator,
) -> Estimate:
    """Returns the chance that a positive has a higher score than a negative, ties half, with its 95 % interval.

    Args:
      scores: of each pair.
      labels: True for positives.
      groups: pairs of a group are drawn together.
      resamples: how often groups are drawn.
      rng: draws them.
    """
    order = np.argsort(scores)
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))

    def area(weights):
        positive, negative = (
            np.add.reduceat(np.where(side, weights, 0)[order].astype(np.float64), starts) for side in (labels, ~labels)
        )
        below = np.cumsum(negative) - negative / 2
        return np.sum(positive * below) / max(positive.sum() * negative.sum(), 1e-9)

    number = groups.max() + 1
    drawn = [area(np.bincount(rng.integers(number, size=number), minlength=number)[groups]) for _ in range(resamples)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(float(area(np.ones(len(scores)))), float(low), float(high))


def by_threshold(
    similarities: Mapping[str, Float[np.ndarray, "P"]], same: Bool[np.ndarray, "P"], groups: Int[np.ndarray, "P"]
) -> Figures:
    """Returns what reuse is worth from each threshold on: hits, the false ones among them, and those it should find."""
    parts = {}
    for name, found in similarities.items():
        for threshold in THRESHOLDS:
            hit = found >= threshold
            parts[f"{name}, {threshold:g}"] = {
                "hits": (hit, np.ones(len(hit), bool)),
                "precision": (hit & same, hit),
                "recall": (hit & same, same),
                "false hits": (hit & ~same, hit),
            }
    return _shares(parts, groups)


def find_nearest(
    units: Float[np.ndarray, "N D"], queries: int, rng: np.random.Generator, k: int = 10
) -> tuple[Int[np.ndarray, "B k"], Float[np.ndarray, "B k"], Int[np.ndarray, "B"]]:
    """Finds the k nearest others of some questions, by exact search.

    Args:
      units: embeddings of length 1.
      queries: how many questions look for others, B.
      rng: draws them.
      k: how many others, if there are so many.

    Returns:
      The places of the others and their cosines, the nearest first, -1 and -inf where there are fewer; and the
      questions that looked.
    """
    asked = np.sort(rng.choice(len(units), queries, replace=False))
    index = serving.exact_index(units.shape[1])
    state = index.insert(index.init(), np.arange(len(units)), units)
    hits = [index.search(state, units[asked[start : start + BATCH]], k + 1) for start in range(0, len(asked), BATCH)]
    ids, cosines = (np.concatenate(part) for part in zip(*hits, strict=True))
    # Itself goes last; of equal embeddings it may stand anywhere, or not be there at all.
    order = np.argsort(ids == asked[:, None], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1), asked


def mistakes(pairs: Pairs, cosines: Float[np.ndarray, "P"], rng: np.random.Generator, number: int = 8) -> list[Mistake]:
    """Returns some of the pairs that reuse takes for one question and are labelled as two, the most alike first."""
    wrong = np.flatnonzero((cosines >= REUSE) & ~pairs.same)
    drawn = rng.choice(wrong, min(number, len(wrong)), replace=False)
    return [
        Mistake(float(cosines[row]), pairs.texts[pairs.first[row]], pairs.texts[pairs.second[row]])
        for row in drawn[np.argsort(-cosines[drawn])]
    ]


def _by_rank(nearest, asked, topics, meanings) -> Figures:
    """How often one of the k nearest is of the topic, or means the same where any other question does."""
    real = nearest >= 0
    topic = real & (topics[nearest] == topics[asked, None])
    meaning = real & (meanings[nearest] == meanings[asked, None])
    has = np.bincount(meanings)[meanings[asked]] > 1
    linked = np.bincount(topics)[topics[asked]] > 1
    parts = {
        f"k = {k}": {
            "one of the topic": (topic[:, :k].any(axis=1) & linked, linked),
            "one of the same meaning, if any": (meaning[:, :k].any(axis=1) & has, has),
            "share of the topic among them": (topic[:, :k].sum(axis=1), real[:, :k].sum(axis=1)),
        }
        for k in (1, 3, 5, 10)
    }
    return _shares(parts, topics[asked])


def _nearest_by_threshold(nearest, cosines, asked, topics, meanings) -> Figures:
    """What the nearest other question is, where its cosine is high enough."""
    topic = (nearest >= 0) & (topics[nearest] == topics[asked])
    meaning = (nearest >= 0) & (meanings[nearest] == meanings[asked])
    has = np.bincount(meanings)[meanings[asked]] > 1
    every = np.ones(len(asked), bool)
    parts = {}
    for threshold in (-1.0, *THRESHOLDS):
        hit = cosines >= threshold
        parts["any" if threshold < 0 else f"{threshold:g}"] = {
            "hits": (hit, every),
            "of the topic": (hit & topic, hit),
            "topic recall": (hit & topic, every),
            "of the same meaning": (hit & meaning, hit),
            "meaning recall": (hit & meaning, has),
        }
    return _shares(parts, topics[asked])


def _shares(parts: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], groups: Int[np.ndarray, "M"]) -> Figures:
    """Sums over sums, ``[M]`` each, with intervals, groups being resampled; one over nothing is left out."""
    _, groups = np.unique(groups, return_inverse=True)
    ratios = {
        (rule, name): Ratio(*(jnp.asarray(np.bincount(groups, weights=side), jnp.float32) for side in both))
        for rule, row in parts.items()
        for name, both in row.items()
        if both[1].any()
    }
    found = estimates(ratios)  # all at once: they share their resamples
    return {rule: {name: found[rule, name] for name in row if (rule, name) in found} for rule, row in parts.items()}
