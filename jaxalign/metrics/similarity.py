"""How alike the embeddings of a data set are: cosine similarities averaged over all pairs, exactly, without the pairs.

The sum of ``u_i . u_j`` over all ordered pairs of unit vectors is ``|sum_i u_i|^2``; with the N self-pairs taken off,
which are 1 each, the mean over pairs of different rows is ``(|sum_i u_i|^2 - N) / (N (N - 1))``. It takes one pass over
the rows, on the host, with sums in float64. Parts of a data set do not add up: pairs between them would be missing.

A row of zeros has no direction. It is in no pair, and the denominator says how many pairs there were.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxalign.numerics import Ratio
from jaxalign.typing import EmbedFn

Embeddings = Float[np.ndarray, "N D"] | Float[Array, "N D"]
# "_": a wrong length is told by _class_sums, in its own words.
Labels = Shaped[np.ndarray, "_"] | Shaped[Array, "_"] | Sequence[str] | Sequence[int]

_ROWS_AT_ONCE = 4096


def average_pairwise_similarity(embeddings: Embeddings) -> Ratio:
    """Computes the mean cosine similarity of all pairs of different rows (APS), in [-1, 1]; higher is less varied.

    It is exact: the sum over pairs is the squared norm of the sum of unit vectors, with self-pairs taken off. Rows of
    zeros have no direction and are left out. Parts of a data set do not add up.

    Args:
      embeddings: ``[N, D]``, of any lengths.

    Returns:
      The sum of the similarities over the number of ordered pairs, M (M - 1) for M rows that are not zero; 0 over 0
      where M is 0 or 1.

    Raises:
      ValueError: if an embedding is not finite.

    >>> print(average_pairwise_similarity(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])).value)
    0.33333334

    Source: AttrPrompt (arXiv 2306.15895), which reports it of sentence embeddings.
    """
    sums = _class_sums(embeddings, np.zeros(len(embeddings), int))
    return _ratio(np.sum(_squared_norms(sums.vectors) - sums.rows), np.sum(sums.rows * (sums.rows - 1)))


def intra_class_similarity(embeddings: Embeddings, labels: Labels) -> Ratio:
    """Computes the mean cosine similarity of pairs within a class, averaged over classes; higher is less varied.

    Each class has the mean over all pairs of its rows, and each class counts alike. Over pairs, a class would count by
    the square of its size, so that a data set with one large class would be a measurement of that class, and could not
    be compared with one that has as many documents in each. For a class by itself there is
    :func:`average_pairwise_similarity` of its rows.

    Args:
      embeddings: ``[N, D]``, of any lengths; rows of zeros have no direction and are left out.
      labels: ``[N]``, the class of each row; numbers or names.

    Returns:
      The sum of the classes' means over the number of classes with two rows or more; those with fewer have no pair and
      are left out.

    Raises:
      ValueError: if an embedding is not finite, or there is not one label per row.

    >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(intra_class_similarity(embeddings, ["a", "a", "b", "b", "c"]))  # 0 and 1; "c" has no pair
    Ratio(numerator=Array(1., dtype=float32), denominator=Array(2., dtype=float32))

    Source: AttrPrompt (arXiv 2306.15895), which reports it of sentence embeddings.
    """
    sums = _class_sums(embeddings, labels)
    pairs = sums.rows * (sums.rows - 1)
    similarity = (_squared_norms(sums.vectors) - sums.rows)[pairs > 0] / pairs[pairs > 0]
    return _ratio(np.sum(similarity), np.count_nonzero(pairs))


def inter_class_similarity(embeddings: Embeddings, labels: Labels) -> Ratio:
    """Computes the mean cosine similarity of all pairs of rows of different classes; higher is less varied.

    Each pair counts alike. Parts of a data set do not add up.

    Args:
      embeddings: ``[N, D]``, of any lengths; rows of zeros have no direction and are left out.
      labels: ``[N]``, the class of each row; numbers or names.

    Returns:
      The sum of the similarities over the number of ordered pairs of rows of different classes; 0 over 0 where there is
      one class only.

    Raises:
      ValueError: if an embedding is not finite, or there is not one label per row.

    >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> print(inter_class_similarity(embeddings, ["a", "a", "b"]).value)
    0.5

    Source: AttrPrompt (arXiv 2306.15895), which reports it of sentence embeddings.
    """
    sums = _class_sums(embeddings, labels)
    everything = np.sum(sums.vectors, axis=0, keepdims=True)
    similarity = np.sum(_squared_norms(everything)) - np.sum(_squared_norms(sums.vectors))
    return _ratio(similarity, np.sum(sums.rows) ** 2 - np.sum(sums.rows**2))


class _ClassSums(NamedTuple):
    vectors: Float[np.ndarray, "C D"]  # sums of unit vectors, float64
    rows: Int[np.ndarray, "C"]  # how many of them, without the rows of zeros


def _class_sums(embeddings: Embeddings, labels: Labels) -> _ClassSums:
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"expected one label per row of embeddings {embeddings.shape}, got labels {labels.shape}")
    names, classes = np.unique(labels, return_inverse=True)
    vectors, rows = np.zeros((len(names), embeddings.shape[1])), np.zeros(len(names), int)
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        units, real = unit_vectors(embeddings[start : start + _ROWS_AT_ONCE], start)
        block = classes[start : start + _ROWS_AT_ONCE][real]
        rows += np.bincount(block, minlength=len(names))
        # Sums over runs of one class: several times as fast as np.add.at.
        order = np.argsort(block, kind="stable")
        first = np.flatnonzero(np.diff(block[order], prepend=-1))
        if first.size:
            vectors[block[order[first]]] += np.add.reduceat(units[real][order], first)
    return _ClassSums(vectors, rows)


def unit_vectors(rows: Embeddings, start: int = 0) -> tuple[Float[np.ndarray, "N D"], Bool[np.ndarray, "N"]]:
    """Returns the rows at length 1 in float64, and which of them are not zero; rows of zeros stay what they are.

    Args:
      rows: ``[N, D]``, of any lengths.
      start: the number of the first row, for the error.

    Raises:
      ValueError: if an embedding is not finite.
    """
    rows = np.asarray(rows, np.float64)
    norms = np.sqrt(_squared_norms(rows))
    if not np.isfinite(norms).all():
        row = start + int(np.argmin(np.isfinite(norms)))
        raise ValueError(f"expected finite embeddings, got row {row} with a norm that is not; look at its text")
    real = norms > 0
    return rows / np.where(real, norms, 1)[:, None], real


def embed_distinct(texts: Iterable[str], embed: EmbedFn) -> dict[str, Float[np.ndarray, "D"]]:
    """Returns the embedding of each different text at length 1 (or 0), from one call; without texts there is none.

    Args:
      texts: in any order, with repetitions.
      embed: makes ``[N, D]`` of N texts.

    Raises:
      ValueError: if it gives another number of rows, or one that is not finite.
    """
    different = list(dict.fromkeys(texts))
    if not different:
        return {}
    rows = np.asarray(embed(different))
    if rows.ndim != 2 or len(rows) != len(different):
        raise ValueError(f"expected embeddings [{len(different)}, D], one row a text, got shape {rows.shape}")
    return dict(zip(different, unit_vectors(rows)[0], strict=True))


def _squared_norms(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", vectors, vectors)


def _ratio(numerator, denominator) -> Ratio:
    # Without a pair the sums differ from 0 by rounding only.
    return Ratio(jnp.float32(numerator if denominator else 0), jnp.float32(denominator))
