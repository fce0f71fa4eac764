"""Sets of classes from their probabilities: the best ones, those above a threshold, or a walk that stops.

Sets are ``[..., C]``, True for their classes. :meth:`Taxonomy.close_upwards` adds what stands above them. All of it can
be compiled: ``jax.jit(functools.partial(sure_path, taxonomy, thresholds=0.5))``.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxalign.taxonomy.taxonomy import Taxonomy

Probabilities = Float[Array, "*batch C"]
Sets = Bool[Array, "*batch C"]
Thresholds = float | Float[Array, "..."]


def top_classes(probabilities: Probabilities, k: int) -> Sets:
    """Returns the k most probable classes of each item; of equal ones the lowest numbers.

    Args:
      probabilities: ``[..., C]``, any scale, higher is likelier.
      k: how many, from 1 to C.

    Raises:
      ValueError: ``k`` is below 1 or above the number of classes.

    Source: TELEClass (arXiv 2403.00165), with k = 3.
    """
    num_classes = probabilities.shape[-1]
    if not 1 <= k <= num_classes:
        raise ValueError(f"k: expected from 1 to the number of classes, {num_classes}, got {k}")
    _, best = jax.lax.top_k(probabilities, k)
    return jnp.any(jax.nn.one_hot(best, num_classes, dtype=bool), axis=-2)


def classes_above(probabilities: Probabilities, thresholds: Thresholds, *, least: int = 0) -> Sets:
    """Returns the classes of each item whose probability is at least the threshold, wherever they stand.

    Args:
      probabilities: ``[..., C]``.
      thresholds: one for all classes, or ``[C]``, on the scale of the probabilities.
      least: the most probable classes that an item gets in any case; 0 leaves items without a class.

    Raises:
      ValueError: thresholds of another number of classes, or ``least`` is below 0 or above the number of classes.
    """
    sure = probabilities >= _thresholds(thresholds, probabilities)
    return sure | top_classes(probabilities, least) if least else sure


def sure_classes(taxonomy: Taxonomy, probabilities: Probabilities, thresholds: Thresholds) -> Sets:
    """Returns the classes that are reached from a root through classes whose probability is at least the threshold.

    A branch ends at the last class that is sure, so that the answer is coarser where less is known. An item has as many
    branches as are sure, and no class where no root is.

    Args:
      taxonomy: the classes.
      probabilities: ``[..., C]``.
      thresholds: one for all classes, or ``[C]``, on the scale of the probabilities.

    Returns:
      ``[..., C]``; of each class but the roots at least one parent is in the set, and not always all of them.

    Raises:
      ValueError: probabilities or thresholds of another number of classes.
    """
    _check(taxonomy, probabilities)
    sure = probabilities >= _thresholds(thresholds, probabilities)
    parents = _parents(taxonomy).astype(np.float32)
    roots = np.broadcast_to(_mask(taxonomy, taxonomy.roots), sure.shape)

    def deeper(_, reached):
        return sure & (roots | (reached.astype(jnp.float32) @ parents.T > 0))

    return jax.lax.fori_loop(0, taxonomy.depth, deeper, jnp.zeros(sure.shape, bool))


def sure_path(taxonomy: Taxonomy, probabilities: Probabilities, thresholds: Thresholds) -> Sets:
    """Returns one path for each item: from the best root to the best child, and so on while the best one is sure.

    It stops at an inner class where no child reaches its threshold, and is empty where no root does.

    Args:
      taxonomy: the classes.
      probabilities: ``[..., C]``; of equal ones the lowest number is taken.
      thresholds: one for all classes, or ``[C]``, on the scale of the probabilities; -inf always walks to a leaf.

    Returns:
      ``[..., C]``, the classes of the path; other parents of them are not in it.

    Raises:
      ValueError: probabilities or thresholds of another number of classes.
    """
    _check(taxonomy, probabilities)
    thresholds = _thresholds(thresholds, probabilities)
    # Above the roots, as class number C, is where each walk begins.
    children = jnp.asarray(np.vstack([_parents(taxonomy).T, _mask(taxonomy, taxonomy.roots)]))
    numbers = jnp.broadcast_to(jnp.arange(len(taxonomy)), probabilities.shape)

    def step(_, state):
        path, place, walking = state
        below = children[place]
        best = jnp.argmax(jnp.where(below, probabilities, -jnp.inf), axis=-1)
        chosen = below & (numbers == best[..., None]) & (probabilities >= thresholds)
        walking &= jnp.any(chosen, axis=-1)
        return path | (chosen & walking[..., None]), jnp.where(walking, best, place), walking

    batch = probabilities.shape[:-1]
    start = jnp.zeros(probabilities.shape, bool), jnp.full(batch, len(taxonomy)), jnp.ones(batch, bool)
    return jax.lax.fori_loop(0, taxonomy.depth, step, start)[0]


def most_specific(taxonomy: Taxonomy, labels: Sets) -> Sets:
    """Returns the classes of each set that have no descendant in it: where its branches end.

    Args:
      taxonomy: the classes.
      labels: ``[..., C]``, True for the classes of a set.

    Raises:
      ValueError: labels of another number of classes.
    """
    _check(taxonomy, labels)
    above = (taxonomy.ancestors & ~np.eye(len(taxonomy), dtype=bool)).astype(np.float32)
    return labels & ~(labels.astype(jnp.float32) @ above > 0)


def _check(taxonomy: Taxonomy, array: Array) -> None:
    if array.shape[-1] != len(taxonomy):
        raise ValueError(f"expected a last axis of {len(taxonomy)} classes as the taxonomy has, got {array.shape}")


def _thresholds(thresholds: Thresholds, probabilities: Probabilities) -> Float[Array, "*batch C"]:
    thresholds = jnp.asarray(thresholds, probabilities.dtype)
    if thresholds.shape not in ((), probabilities.shape[-1:]):
        raise ValueError(
            f"thresholds: expected one, or one for each class {probabilities.shape[-1:]}, got {thresholds.shape}"
        )
    return jnp.broadcast_to(thresholds, probabilities.shape)


def _parents(taxonomy: Taxonomy) -> Bool[np.ndarray, "C C"]:
    """True at ``[c, p]`` where class p is a parent of class c."""
    edges = np.zeros((len(taxonomy), len(taxonomy)), bool)
    for child, parents in enumerate(taxonomy.parents):
        edges[child, list(parents)] = True
    return edges


def _mask(taxonomy: Taxonomy, classes: tuple[int, ...]) -> Bool[np.ndarray, "C"]:
    return np.isin(np.arange(len(taxonomy)), classes)
