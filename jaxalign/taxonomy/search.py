r"""Candidate classes of each document: a walk down the taxonomy, for a block of documents at once.

The walk begins above the roots, and in its round l, from 0, each class that it came to last chooses l + 3 of its
children, those most similar to the document. A class is walked on from once, when it is first come to, whatever the
number of parents that choose it. Equal similarities are ordered by the numbers of classes, the lowest first.

The paper of TELEClass prunes no further. The authors' code keeps, from round 1 on, the (l + 2)^2 classes with the best
path from above, the product of ``exp(similarity)`` along it. Here that is a sum of similarities, which orders the same.
Where a class has several parents, its path is the best one through any of them that was looked at in the round before,
chosen or not, as in the code. The code walks on from such a class several times; that is not followed.

What a round can come to is known from the taxonomy, so that each round has arrays of its own, and on a tree each class
is looked at once. Documents go through in blocks of one size: a taxonomy is compiled for once, whatever their number.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from jaxalign.prompting.options import check_counts
from jaxalign.taxonomy.rounds import FIRST_COUNT, Join, Plan, Round, plan_rounds
from jaxalign.taxonomy.taxonomy import Taxonomy

Similarities = Float[np.ndarray, "N _"] | Float[Array, "N _"]

_LANES = 256  # documents whose numbers fit into a cache
_WIDE = 32  # children, above which a parent's best ones are taken out one by one


def search_candidates(
    taxonomy: Taxonomy, similarities: Similarities, *, block_size: int = 2048
) -> Bool[np.ndarray, "N _"]:
    """Finds the candidate classes of documents: every class that the walk down the taxonomy chooses, as in the paper.

    The walk begins above the roots. In its round l, from 0, each class that it came to last chooses its l + 3 most
    similar children, and a class that several choose is walked on from once. Of equal similarities the lowest class
    number comes first.

    Args:
      taxonomy: the classes.
      similarities: ``[N, C]``, of each document to each class, finite; see :func:`class_similarities`.
      block_size: documents that are searched at once, which costs memory and changes no result, at least 1.

    Returns:
      ``[N, C]``, True for the candidates of a document.

    Raises:
      ValueError: the similarities are not finite, or not of ``[N, C]``.

    >>> taxonomy = Taxonomy(("a", "b", "c", "d", "e", "f"), ((), (), (), (), (0,), (3,)))
    >>> search_candidates(taxonomy, np.array([[0.4, 0.3, 0.2, 0.1, 0.0, 0.9]], np.float32)).astype(int).tolist()
    [[1, 1, 1, 0, 1, 0]]

    Source: TELEClass (arXiv 2403.00165), section 3.1, after TaxoClass (NAACL 2021).
    """
    return _in_blocks(_walk, taxonomy, similarities, block_size)


def search_candidates_by_path(
    taxonomy: Taxonomy, similarities: Similarities, *, block_size: int = 2048
) -> Bool[np.ndarray, "N _"]:
    """Finds the candidate classes of documents as the authors' code does: the walk goes on from the best paths only.

    It is the walk of :func:`search_candidates`, but in rounds l >= 1 only the (l + 2)^2 classes with the best paths
    are kept, by the sum of similarities from the root down; the others are no candidates. The path of a class with
    several parents is the best one through any of them that was chosen or has a chosen parent.

    Args:
      taxonomy: the classes.
      similarities: ``[N, C]``, of each document to each class, finite; see :func:`class_similarities`.
      block_size: documents that are searched at once, which costs memory and changes no result, at least 1.

    Returns:
      ``[N, C]``, True for the candidates of a document.

    Raises:
      ValueError: the similarities are not finite, or not of ``[N, C]``.

    Source: the code of TELEClass (core_class_annotation.py), in which a class that several parents choose is walked on
    from several times; here it is walked on from once.
    """
    return _in_blocks(_walk_by_path, taxonomy, similarities, block_size)


def _in_blocks(walk, taxonomy: Taxonomy, similarities: Similarities, block_size: int) -> np.ndarray:
    check_counts(block_size=block_size)
    similarities = np.asarray(similarities, np.float32)
    if similarities.shape[1] != len(taxonomy):
        raise ValueError(
            f"similarities: expected one column for each of {len(taxonomy)} classes, got {similarities.shape[1]}; "
            "give those to every class of the taxonomy, in its order"
        )
    _check_finite(similarities)
    plan = jax.device_put(plan_rounds(taxonomy))
    lanes = min(block_size, _LANES)
    block_size = -(-block_size // lanes) * lanes
    found = np.empty(similarities.shape, bool)
    for start in range(0, len(similarities), block_size):
        block = similarities[start : start + block_size]
        padded = np.pad(block, ((0, block_size - len(block)), (0, 0))) if len(block) < block_size else block
        candidates = _map(padded.reshape(-1, lanes, len(taxonomy)), plan, walk)
        found[start : start + block_size] = np.asarray(candidates).reshape(padded.shape)[: len(block)]
    return found


def _check_finite(similarities: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        if np.isfinite(similarities.sum()):  # in half the time of a look at every number
            return
    finite = np.isfinite(similarities).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"similarities: expected finite numbers, got one that is not in row {row}; look at its text")


@functools.partial(jax.jit, static_argnames="walk")
def _map(similarities: Float[Array, "B n C"], plan: Plan, walk: Callable) -> Bool[Array, "B n C"]:
    return jax.lax.map(lambda block: walk(block, plan), similarities)


def _walk(similarities: Float[Array, "n C"], plan: Plan) -> Bool[Array, "n C"]:
    values, came_to, frontier = _start(similarities)
    for level, step in enumerate(plan.rounds):
        frontier = _go_on(values, came_to, frontier, step, level)
        came_to = jnp.concatenate([came_to, frontier])
    return _join(came_to, plan.rows).T


def _walk_by_path(similarities: Float[Array, "n C"], plan: Plan) -> Bool[Array, "n C"]:
    values, came_to, frontier = _start(similarities)
    paths = jnp.zeros(frontier.shape)
    for level, step in enumerate(plan.rounds):
        looked_at = _over_parents(frontier, step)
        paths = jnp.where(looked_at, values[step.classes] + _over_parents(paths, step), -jnp.inf)
        frontier = _go_on(values, came_to, frontier, step, level)
        if level:
            frontier &= _largest(jnp.where(frontier, paths, -jnp.inf), (level + 2) ** 2)
        came_to = jnp.concatenate([came_to, frontier])
    return _join(came_to, plan.rows).T


def _start(similarities: Float[Array, "n C"]) -> tuple[Float[Array, "R n"], Bool[Array, "1 n"], Bool[Array, "1 n"]]:
    """Similarities by class, with -inf in a last row for padding; nothing that was come to; and all, for the top.

    Documents are on the last axis, so that whatever is taken from a class is taken from all documents at once.
    """
    values = jnp.pad(similarities.T, ((0, 1), (0, 0)), constant_values=-jnp.inf)
    nothing = jnp.zeros((1, len(similarities)), bool)
    return values, nothing, ~nothing


def _go_on(
    values: Float[Array, "R n"], came_to: Bool[Array, "T n"], frontier: Bool[Array, "S n"], step: Round, level: int
) -> Bool[Array, "Z n"]:
    """What classes of the frontier choose and no earlier round came to."""
    count = level + FIRST_COUNT
    chosen = [_are_best(values[family.children], count) & frontier[family.parents][:, None] for family in step.families]
    found = _join(_edges(chosen, frontier, step), step.edges)
    return found if step.earlier is None else found & ~_join(came_to, step.earlier)


def _over_parents(rows: Shaped[Array, "S n"], step: Round) -> Shaped[Array, "Z n"]:
    """The largest value of the parents of each class."""
    shape = (rows.shape[1],)
    spread = [
        jnp.broadcast_to(rows[family.parents][:, None], family.children.shape + shape) for family in step.families
    ]
    return _join(_edges(spread, rows, step), step.edges)


def _edges(
    by_family: Sequence[Shaped[Array, "_ _ n"]], rows: Shaped[Array, "S n"], step: Round
) -> Shaped[Array, "E n"]:
    """Values on all edges of a round: those within families, then those of the other parents."""
    edges = jnp.concatenate([*(each.reshape(-1, each.shape[-1]) for each in by_family), rows[step.others]])
    return jax.lax.optimization_barrier(edges)  # else each row that is taken from here is computed by itself


def _join(values: Shaped[Array, "V n"], join: Join) -> Shaped[Array, "S n"]:
    return jnp.concatenate([values, values[join.several].max(axis=1)])[join.sources]


def _are_best(values: Float[Array, "F K n"], count: int) -> Bool[Array, "F K n"]:
    """Says which are the ``count`` largest of each family, the first ones where some are equal."""
    if values.shape[1] > _WIDE:
        return _take_out(values, count)
    places = jnp.arange(values.shape[1], dtype=jnp.int32)[None, :, None]
    rank = jnp.zeros(values.shape, jnp.int8)
    for place in range(values.shape[1]):
        other = values[:, place, None]
        rank += jnp.where(places > place, other >= values, other > values).astype(jnp.int8)
    return rank < count


def _take_out(values: Float[Array, "F K n"], count: int) -> Bool[Array, "F K n"]:
    """The same one by one, which takes ``count`` passes over a family rather than K."""
    places = jnp.arange(values.shape[1], dtype=jnp.int32)[None, :, None]

    def take_one(_, left):
        most = jnp.where(left, values, -jnp.inf).max(axis=1, keepdims=True)
        first = jnp.where(left & (values == most), places, places.size).min(axis=1, keepdims=True)
        return left & (places != first)

    return ~jax.lax.fori_loop(0, count, take_one, jnp.ones(values.shape, bool))


def _largest(values: Float[Array, "S n"], count: int) -> Bool[Array, "S n"]:
    """Says which are the ``count`` largest of each document, the lowest rows where some are equal."""
    if count >= len(values):
        return jnp.ones(values.shape, bool)
    # XLA makes whole sorts of a top_k of which it sees a slice.
    largest, rows = jax.lax.optimization_barrier(jax.lax.top_k(values.T, count))
    # Of equal values the lowest rows come first, so that the last one that is kept is the last of its value.
    least, last = largest[:, -1], rows[:, -1]
    row = jnp.arange(len(values))[:, None]
    return (values > least[None]) | ((values == least[None]) & (row <= last[None]))
