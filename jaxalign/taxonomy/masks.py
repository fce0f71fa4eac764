"""What is known of a document's classes once its core classes are: which it has, has not, or may have."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from jaxalign.taxonomy.taxonomy import Taxonomy


class CoreMasks(NamedTuple):
    """The labels of D documents, of NumPy or JAX as the core classes were.

    Attributes:
      labels: ``[D, C]``, float32, 1 for a document's core classes and all above them.
      where: ``[D, C]``, False for what stands below a core class, which the document may have or not, and for all
        classes of a document without a core class.
    """

    labels: Float[np.ndarray, "*batch C"] | Float[Array, "*batch C"]
    where: Bool[np.ndarray, "*batch C"] | Bool[Array, "*batch C"]


def core_masks(cores: Bool[np.ndarray, "*batch C"] | Bool[Array, "*batch C"], taxonomy: Taxonomy) -> CoreMasks:
    """Tells which classes a document has (its core classes and all above), has not, or may have (those below).

    A class between two core classes is above one and below the other: the document has it. (The authors' code does not
    count it.) A document without a core class says nothing, rather than that it has no class.

    Args:
      cores: ``[..., C]``, True for the core classes of each document; of numpy, or of JAX, under ``jit`` too.
      taxonomy: the C classes.

    Returns:
      The arguments ``labels`` and ``where`` of :func:`jaxalign.losses.masked_sigmoid_cross_entropy_loss`. A document
      written for a path has all of the path as labels, and every class counts.

    >>> taxonomy = Taxonomy(("animal", "dog", "puppy", "stone"), ((), (0,), (1,), ()))
    >>> masks = core_masks(np.array([[False, True, False, False]]), taxonomy)
    >>> masks.labels.tolist(), masks.where.tolist()
    ([[1.0, 1.0, 0.0, 0.0]], [[True, True, False, True]])

    Source: TELEClass (arXiv 2403.00165), the classifier.
    """
    has = taxonomy.close_upwards(cores)
    below = cores.astype(np.float32) @ taxonomy.descendants.astype(np.float32) > 0
    return CoreMasks(has.astype(np.float32), (has | ~below) & cores.any(axis=-1, keepdims=True))
