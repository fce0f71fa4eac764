"""Core classes refined: documents near the classes whose terms they share, and how sure that is (TELEClass, step 3)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Bool, Float, Int, Real

from jaxalign.taxonomy.vectors import unit_rows

_ROWS_AT_ONCE = 4096


class ClassVectors(NamedTuple):
    """A vector for each of C classes.

    Attributes:
      vectors: ``[C, E]``, float32; 0 for a class without a document.
      documents: ``[C]``, the number of documents behind each vector.
    """

    vectors: Float[np.ndarray, "C E"]
    documents: Int[np.ndarray, "C"]


class RefinedCores(NamedTuple):
    """The refined core classes of D documents.

    Attributes:
      cores: ``[D, C]``, True for the core classes of each document, whether it is kept or not.
      confidences: ``[D]``, the gap in cosine below the last core class, from 0 to 2; 0 where nothing was compared.
      kept: ``[D]``, True for the most confident documents, which are those to train on.
    """

    cores: Bool[np.ndarray, "D C"]
    confidences: Float[np.ndarray, "D"]
    kept: Bool[np.ndarray, "D"]


def average_class_documents(
    embeddings: Real[np.ndarray, "D E"], documents: scipy.sparse.csr_array | Bool[np.ndarray, "D C"]
) -> ClassVectors:
    """Averages the embeddings of each class's documents.

    Args:
      embeddings: ``[D, E]``, one for each document, taken as they are: divide them by their norms first for documents
        to count alike.
      documents: ``[D, C]``, dense or sparse, True for the documents that stand for a class. In the paper these have the
        class, or one below it, as a core class and mention one of its terms:
        ``class_documents(...).multiply(find_mentions(...))``.

    Returns:
      The averages; a class without a document has no vector, which its count of 0 says.

    Source: TELEClass (arXiv 2403.00165), core class refinement.
    """
    chosen = scipy.sparse.csr_array(documents).astype(bool).astype(np.float32)
    counts = np.diff(chosen.T.tocsr().indptr)
    sums = chosen.T @ np.asarray(embeddings, np.float32)
    return ClassVectors(sums / np.maximum(counts, 1)[:, None], counts)


@functools.partial(jax.jit, static_argnames="most")
def cut_at_largest_gap(
    similarities: Float[Array, "D C"], where: Bool[Array, "D C"], *, most: int | None = None
) -> tuple[Bool[Array, "D C"], Float[Array, "D"]]:
    """Ranks the classes of each document by similarity, and cuts where the similarity falls most from one to the next.

    Of equal gaps the first cuts, and of equal similarities the class of the lower number ranks higher. A document with
    one candidate has it as its core class, and one without a candidate has none; no gap says how sure that is.

    Args:
      similarities: ``[D, C]``, cosines, or any numbers that compare.
      where: ``[D, C]``, True for the classes that are candidates; others may hold anything.
      most: the most core classes of a document: only the first ``most`` gaps are looked at (3 in the authors' code).
        None for all gaps (the paper).

    Returns:
      True for each document's core classes, ``[D, C]``, and the largest gap, ``[D]``, 0 where there is none.

    >>> similarities = jnp.array([[0.9, 0.2, 0.8, 0.1]])
    >>> cores, gaps = cut_at_largest_gap(similarities, jnp.ones((1, 4), bool))
    >>> print(cores, gaps)
    [[ True False  True False]] [0.6]

    Source: TELEClass (arXiv 2403.00165), core class refinement.
    """
    classes = similarities.shape[-1]
    ranked = classes if most is None else min(most + 1, classes)
    lowest = jnp.where(where, similarities.astype(jnp.float32), -jnp.inf)
    values, order = jax.lax.top_k(lowest, ranked)
    real = values > -jnp.inf
    finite = jnp.where(real, values, 0)
    gaps = jnp.where(real[:, 1:], finite[:, :-1] - finite[:, 1:], -1)
    gaps = jnp.concatenate([gaps, jnp.full((len(gaps), 1), -1.0)], axis=1)  # there may be one class only
    last = jnp.argmax(gaps, axis=1)
    taken = real & (jnp.broadcast_to(jnp.arange(ranked), real.shape) <= last[:, None])
    rows = jnp.broadcast_to(jnp.arange(len(order))[:, None], order.shape)
    cores = jnp.zeros(similarities.shape, bool).at[rows, order].set(taken)
    return cores, jnp.maximum(gaps.max(axis=1), 0)


def refine_cores(
    embeddings: Real[np.ndarray, "D E"],
    classes: ClassVectors,
    *,
    candidates: Bool[np.ndarray, "_ _"] | None = None,
    most: int | None = None,
    share: float = 0.75,
) -> RefinedCores:
    """Chooses core classes by the cosine of documents and class vectors, and keeps the most confident documents.

    A document's classes are ranked by cosine and cut at the largest gap, which is its confidence. Documents without a
    core class are not counted and not kept. Documents go to the device in blocks of one size, so that one program
    serves any number of them.

    With many classes give ``most``: the largest of all gaps is often near the end of the ranking. Of 6,865 real reviews
    with 456 classes a document had 58 core classes on average without a limit, and 1.5 with ``most=3``.

    Args:
      embeddings: ``[D, E]``, of the documents, any length.
      classes: from :func:`average_class_documents`; classes without a document are nobody's core class.
      candidates: ``[D, C]``, True for the classes that a document may have; None for all, as in the paper.
      most: the most core classes of a document (3 in the authors' code); None for no limit (the paper).
      share: how many of the documents with a core class are kept, from 0 to 1. Those as confident as the last one
        that is kept are kept too.

    Returns:
      The core classes and confidences of all documents, and which to keep.

    Raises:
      ValueError: ``share`` or ``most`` is out of range, shapes do not fit, or an embedding is not finite.

    Source: TELEClass (arXiv 2403.00165), core class refinement.
    """
    embeddings = np.asarray(embeddings, np.float32)
    _check(embeddings, classes, candidates, most, share)
    count = len(classes.vectors)
    has_vector = classes.documents > 0
    vectors = jnp.asarray(unit_rows(classes.vectors))
    cores, confidences = np.zeros((len(embeddings), count), bool), np.zeros(len(embeddings), np.float32)
    rows = min(_ROWS_AT_ONCE, len(embeddings))
    for start in range(0, len(embeddings), rows or 1):
        block = slice(start, start + rows)
        where = np.broadcast_to(has_vector, (len(embeddings[block]), count))
        where = where if candidates is None else where & candidates[block]
        padding = ((0, rows - len(where)), (0, 0))
        units = np.pad(unit_rows(embeddings[block]), padding)
        found = _refine_block(units, vectors, np.pad(where, padding), most=most)
        cores[block], confidences[block] = (np.asarray(each)[: len(where)] for each in found)
    return RefinedCores(cores, confidences, _most_confident(confidences, cores.any(axis=1), share))


@functools.partial(jax.jit, static_argnames="most")
def _refine_block(units, vectors, where, *, most):
    # Gaps are small differences: bfloat16 products, a TPU's default, would hide them.
    similarities = jnp.matmul(units, vectors.T, precision=jax.lax.Precision.HIGHEST)
    return cut_at_largest_gap(similarities, where, most=most)


def _most_confident(confidences: np.ndarray, real: np.ndarray, share: float) -> np.ndarray:
    if not real.any() or not share:
        return np.zeros(len(real), bool)
    return real & (confidences >= np.quantile(confidences[real], 1 - share))


def _check(embeddings, classes, candidates, most, share) -> None:
    if not 0 <= share <= 1 or (most is not None and most < 1):
        raise ValueError(f"expected a share from 0 to 1 and most of 1 or above, got {share} and {most}")
    if embeddings.shape[1] != classes.vectors.shape[1]:
        raise ValueError(
            f"expected embeddings as wide as the class vectors, {classes.vectors.shape[1]}, got "
            f"{embeddings.shape[1]}; use one network for both"
        )
    expected = (len(embeddings), len(classes.vectors))
    if candidates is not None and candidates.shape != expected:
        raise ValueError(f"expected candidates of shape {expected}, documents by classes, got {candidates.shape}")
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"expected finite embeddings, got {(~finite).sum()} of {len(finite)} rows that are not, the first of them "
            f"row {int(np.argmin(finite))}; look at its text"
        )
