"""How close documents are to classes that are known by several terms each: the closest term decides."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from jaxalign.prompting.options import check_counts

Embeddings = Float[np.ndarray, "N D"] | Float[Array, "N D"]
# "_": numbers that do not fit are told in words.
Terms = Float[np.ndarray, "T _"] | Float[Array, "T _"]
Numbers = Int[np.ndarray, "_"] | Int[Array, "_"]


def class_similarities(
    document_embeddings: Embeddings,
    term_embeddings: Terms,
    term_classes: Numbers,
    num_classes: int,
    *,
    block_size: int = 1024,
) -> Float[np.ndarray, "N _"]:
    """Computes the similarity of each document to each class: the largest cosine with one of the terms of the class.

    Documents go through in blocks, so that besides what comes in and goes out there are only ``[block_size, T]``
    numbers at once; documents may be a memory map.

    Args:
      document_embeddings: ``[N, D]``, of any lengths but 0.
      term_embeddings: ``[T, D]``, of any lengths but 0; a class's name is usually one of its terms.
      term_classes: ``[T]``, the class of each term, from 0, in any order; a term of several classes is there for each.
      num_classes: how many classes there are, C; each needs a term.
      block_size: documents at once, at least 1.

    Returns:
      ``[N, C]``, in [-1, 1], float32.

    Raises:
      ValueError: a class has no term, a term no class, sizes do not fit, or an embedding is 0 or not finite.

    >>> documents = np.array([[1.0, 0.0], [3.0, 4.0]])
    >>> terms, classes = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([0, 0, 1])
    >>> class_similarities(documents, terms, classes, 2).round(2).tolist()
    [[1.0, 0.0], [0.800000011920929, -0.800000011920929]]

    Source: TELEClass (arXiv 2403.00165), section 3.1.
    """
    check_counts(block_size=block_size, num_classes=num_classes)
    classes, terms = np.asarray(term_classes), np.asarray(term_embeddings)
    _check_terms(document_embeddings, terms, classes, num_classes)
    order = np.argsort(classes, kind="stable")
    terms = jax.device_put(_unit_rows("term_embeddings", terms, 0)[order])
    classes = jax.device_put(classes[order].astype(np.int32))
    least = jax.device_put(np.full((num_classes, block_size), -np.inf, np.float32))
    found = np.empty((len(document_embeddings), num_classes), np.float32)
    for start in range(0, len(found), block_size):
        block = _unit_rows("document_embeddings", np.asarray(document_embeddings[start : start + block_size]), start)
        padded = np.pad(block, ((0, block_size - len(block)), (0, 0)))
        found[start : start + block_size] = np.asarray(_closest(padded, terms, classes, least))[: len(block)]
    return found


@jax.jit
def _closest(
    documents: Float[Array, "n D"], terms: Float[Array, "T D"], classes: Int[Array, "T"], least: Float[Array, "C n"]
) -> Float[Array, "n C"]:
    """Terms are on the first axis, so that a class's largest cosine is taken for all documents at once."""
    cosines = jnp.matmul(terms, documents.T, precision="highest")
    return jnp.clip(least.at[classes].max(cosines, indices_are_sorted=True), -1, 1).T


def _check_terms(documents: Embeddings, terms: np.ndarray, classes: np.ndarray, num_classes: int) -> None:
    if terms.shape[1] != documents.shape[1]:
        raise ValueError(
            f"term_embeddings: expected the width of documents, {documents.shape[1]}, got {terms.shape[1]}; embed both "
            "with the same model"
        )
    if len(classes) != len(terms):
        raise ValueError(f"term_classes: expected one class for each of {len(terms)} terms, got {len(classes)}")
    if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
        outside = classes[(classes < 0) | (classes >= num_classes)][0]
        raise ValueError(f"term_classes: expected numbers from 0 to {num_classes - 1}, got {outside}")
    if (missing := np.flatnonzero(np.bincount(classes, minlength=num_classes) == 0)).size:
        raise ValueError(
            f"term_classes: {missing.size} classes have no term, the first is class {missing[0]}; give each at least "
            "its own name"
        )


def _unit_rows(field: str, rows: Shaped[np.ndarray, "n D"], start: int) -> Float[np.ndarray, "n D"]:
    """``start`` is the number of the first row, for the error."""
    rows = rows.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    good = np.isfinite(norms) & (norms > 0)
    if not good.all():
        row = start + int(np.argmin(good[:, 0]))
        raise ValueError(f"{field}: expected finite rows with a direction, got row {row} without; look at its text")
    return rows / norms
