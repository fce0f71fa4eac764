r"""Candidate classes of each document: a walk down the taxonomy, for a block of documents at once.

The walk begins above the roots, and in its round l, from 0, each class that it came to last chooses l + 3 of its
children, those most similar to the document. A class is walked on from once, when it is first come to, whatever the
number of parents that choose it. Equal similarities are ordered by the numbers of classes, the lowest first.

The paper of TELEClass prunes no further. The authors' code keeps, from round 1 on, the (l + 2)^2 classes with the best
path from above, the product of ``exp(similarity)`` along it. Here that is a sum of similarities, which orders the same.
Where a class is reached by several parents, its path is the best one through any of its parents that have been looked
at, chosen or not, as in the code. The code walks on from such a class several times; that is not followed.

Documents go through in blocks of one size, so that a taxonomy is compiled for once, whatever the number of documents.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxalign.prompting.options import check_counts
from jaxalign.taxonomy.taxonomy import Taxonomy

Similarities = Float[np.ndarray, "N _"] | Float[Array, "N _"]

Indices = Int[np.ndarray, "..."] | Int[Array, "..."]

_LEAST = 3  # children chosen in round 0


class _Graph(NamedTuple):
    """Edges ``[E]`` in the order of their children; the parent of roots is number C, above them all.

    Families, the children of one parent each, are arrays ``[F, K]`` by size K, padded with number C, whose similarity
    is -inf. ``places`` are those of the edges among all entries of all families.
    """

    parents: Indices
    children: Indices
    places: Indices
    families: tuple[Indices, ...]


def search_candidates(
    taxonomy: Taxonomy, similarities: Similarities, *, block_size: int = 1024
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
    taxonomy: Taxonomy, similarities: Similarities, *, block_size: int = 1024
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
    similarities = np.asarray(similarities)
    if similarities.shape[1] != len(taxonomy):
        raise ValueError(
            f"similarities: expected one column for each of {len(taxonomy)} classes, got {similarities.shape[1]}; "
            "give those to every class of the taxonomy, in its order"
        )
    graph, depth = _graph(taxonomy), taxonomy.depth
    found = np.empty(similarities.shape, bool)
    for start in range(0, len(similarities), block_size):
        block = similarities[start : start + block_size].astype(np.float32)
        if not np.isfinite(block).all():
            row = start + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise ValueError(
                f"similarities: expected finite numbers, got one that is not in row {row}; look at its text"
            )
        padding = np.zeros((block_size - len(block), block.shape[1]), np.float32)
        found[start : start + block_size] = walk(np.concatenate([block, padding]), graph, depth)[: len(block)]
    return found


@functools.partial(jax.jit, static_argnames="depth")
def _walk(similarities: Float[Array, "n C"], graph: _Graph, depth: int) -> Bool[Array, "n C"]:
    mine, came_to = _with_top(similarities)
    ranks = _ranks(mine, graph, depth)
    frontier = came_to
    for level in range(depth):
        frontier = _chosen(frontier, ranks, graph, level) & ~came_to
        came_to |= frontier
    return came_to[:-1].T


@functools.partial(jax.jit, static_argnames="depth")
def _walk_by_path(similarities: Float[Array, "n C"], graph: _Graph, depth: int) -> Bool[Array, "n C"]:
    mine, came_to = _with_top(similarities)
    ranks = _ranks(mine, graph, depth)
    frontier, paths = came_to, jnp.where(came_to, 0.0, -jnp.inf)
    for level in range(depth):
        looked_at = _best_of_parents(frontier[graph.parents], graph, jnp.zeros_like(frontier))
        through = _best_of_parents(paths[graph.parents], graph, jnp.full_like(paths, -jnp.inf))
        paths = jnp.where(looked_at, mine + through, paths)
        frontier = _chosen(frontier, ranks, graph, level) & ~came_to
        if level:
            frontier &= _largest(jnp.where(frontier, paths, -jnp.inf), (level + 2) ** 2)
        came_to |= frontier
    return came_to[:-1].T


def _with_top(similarities: Float[Array, "n C"]) -> tuple[Float[Array, "R n"], Bool[Array, "R n"]]:
    """Similarities by class, with a last row for what is above the roots, and a mask of that row.

    Documents are on the last axis, so that whatever is taken from a class is taken from all documents at once.
    """
    rows = jnp.pad(similarities.T, ((0, 1), (0, 0)), constant_values=-jnp.inf)
    return rows, jnp.zeros(rows.shape, bool).at[-1].set(True)


def _chosen(frontier: Bool[Array, "R n"], ranks: Int[Array, "E n"], graph: _Graph, level: int) -> Bool[Array, "R n"]:
    """The classes that a class of the frontier chooses."""
    return _best_of_parents(frontier[graph.parents] & (ranks < level + _LEAST), graph, jnp.zeros_like(frontier))


def _best_of_parents(edges: Shaped[Array, "E n"], graph: _Graph, least: Shaped[Array, "R n"]) -> Shaped[Array, "R n"]:
    """The largest value over the edges to a class; that of ``least`` where there is none."""
    return least.at[graph.children].max(edges, indices_are_sorted=True)


def _largest(values: Float[Array, "R n"], count: int) -> Bool[Array, "R n"]:
    """The classes with the ``count`` largest values of each document, the lowest numbers where these are equal."""
    if count >= len(values):
        return jnp.ones(values.shape, bool)
    _, numbers = jax.lax.top_k(values.T, count)
    documents = jnp.broadcast_to(jnp.arange(values.shape[1])[:, None], numbers.shape)
    return jnp.zeros(values.shape, bool).at[numbers, documents].set(True)


def _ranks(similarities: Float[Array, "R n"], graph: _Graph, depth: int) -> Int[Array, "E n"]:
    """The place of each child among those of a parent, 0 for the most similar one, as far as a round asks for it."""
    most = depth - 1 + _LEAST
    ranks = [_ranks_within(similarities[each], min(most, each.shape[1])) for each in graph.families]
    return jnp.concatenate([each.reshape(-1, each.shape[-1]) for each in ranks])[graph.places]


def _ranks_within(values: Float[Array, "F K n"], count: int) -> Int[Array, "F K n"]:
    """Takes out the best ``count`` children of each family one by one; those that are left share a last rank."""
    places = jnp.arange(values.shape[1], dtype=jnp.int32)[None, :, None]

    def take_out(rank, state):
        values, ranks = state
        is_best = (values == values.max(axis=1, keepdims=True)) & (values > -jnp.inf)
        is_first = jnp.where(is_best, places, values.shape[1]).min(axis=1, keepdims=True) == places
        return jnp.where(is_first, -jnp.inf, values), jnp.where(is_first, rank.astype(jnp.int16), ranks)

    last = jnp.full(values.shape, jnp.iinfo(jnp.int16).max, jnp.int16)
    return jax.lax.fori_loop(0, count, take_out, (values, last))[1]


def _graph(taxonomy: Taxonomy) -> _Graph:
    top = len(taxonomy)
    of_parents = {**dict(enumerate(taxonomy.children)), top: taxonomy.roots}
    # Sizes are rounded up to powers of two, for a few arrays of little padding.
    by_size: dict[int, list[int]] = {}
    for parent, children in of_parents.items():
        if children:
            by_size.setdefault(1 << (len(children) - 1).bit_length(), []).append(parent)
    families, edges, before = [], [], 0
    for size, parents in sorted(by_size.items()):
        family = np.full((len(parents), size), top, np.int32)
        for row, parent in enumerate(parents):
            children = of_parents[parent]
            family[row, : len(children)] = children
            edges += [(child, parent, before + row * size + place) for place, child in enumerate(children)]
        before += family.size
        families.append(family)
    children, parents, places = np.array(sorted(edges), np.int32).T
    return _Graph(parents, children, places, tuple(families))
