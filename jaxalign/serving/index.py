"""An index of vectors as a record of functions, so that exact and approximate search stand behind the same names."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int


class Hits(NamedTuple):
    """The k nearest vectors of each of B queries, most similar first; -1 and -inf where there are fewer than k."""

    ids: Int[Array, "B k"]
    similarities: Float[Array, "B k"]  # cosines


class VectorIndex(NamedTuple):
    """Nearest neighbours by cosine: functions over a state, in the manner of an optax transformation.

    ``init()`` returns an empty state. ``insert(state, ids, vectors)`` takes ``[N]`` ids of 0 or more and ``[N, D]``
    vectors of any length, and replaces ids that it knows. ``delete(state, ids)`` passes over ids that it does not know,
    and leaves nothing of a vector in the state that it returns. ``search(state, queries, k)`` takes ``[B, D]`` queries
    and returns :class:`Hits`; equal similarities come in any order. ``contents(state)`` returns all ids ``[N]`` and
    their unit vectors ``[N, D]`` as NumPy arrays, the ids rising.
    """

    init: Callable[[], Any]
    insert: Callable[[Any, Any, Any], Any]
    delete: Callable[[Any, Any], Any]
    search: Callable[[Any, Any, int], Hits]
    contents: Callable[[Any], tuple[Any, Any]]
