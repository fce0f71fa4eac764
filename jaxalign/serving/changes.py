"""A new state of an index while the old one serves, and what changed in between."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxalign.serving.index import VectorIndex
from jaxalign.serving.inputs import Numbers


class Change(NamedTuple):
    """One insert, or one delete where ``vectors`` is None, with the arguments of the index's function."""

    ids: Numbers  # [N]
    vectors: Numbers | None = None  # [N, D]


def rebuild_index(index: VectorIndex, state: Any, *, into: VectorIndex | None = None) -> Any:
    """Makes a state anew from what another one holds: new clusters, no trace of what was deleted.

    It makes a second store beside the first, and never changes ``state``, which may serve meanwhile. To lose nothing,
    keep a list of the changes since ``state`` was taken; then, while nothing else is written, apply them with
    :func:`apply_changes` and exchange the states.

    Args:
      index: the index that ``state`` is of.
      state: what to read; the library's object must not be written to in the meantime.
      into: the index that the new state is of, such as the same kind with other settings; None for ``index``.

    Returns:
      The new state.

    >>> from jaxalign.serving.exact import exact_index
    >>> index = exact_index(2)
    >>> serving = index.insert(index.init(), [1, 2], [[1.0, 0.0], [0.0, 1.0]])
    >>> rebuilt, since = rebuild_index(index, serving), []
    >>> for change in Change([3], [[1.0, 1.0]]), Change([1]):  # come while it is being rebuilt
    ...     serving = apply_changes(index, serving, [change])
    ...     since.append(change)
    >>> serving = apply_changes(index, rebuilt, since)
    >>> print(index.contents(serving)[0])
    [2 3]
    """
    into = into or index
    return into.insert(into.init(), *index.contents(state))


def apply_changes(index: VectorIndex, state: Any, changes: Iterable[Change]) -> Any:
    """Does what the changes would do one after the other, in one delete and one insert.

    Args:
      index: the index.
      state: what they are applied to.
      changes: inserts and deletes, the earliest first; what was done last to an id holds.

    Returns:
      The state afterwards.
    """
    last: dict[int, Any] = {}
    for change in changes:
        ids = np.asarray(change.ids).tolist()
        vectors = [None] * len(ids) if change.vectors is None else list(change.vectors)
        last.update(zip(ids, vectors, strict=True))
    gone = [each for each, vector in last.items() if vector is None]
    come = [each for each, vector in last.items() if vector is not None]
    if gone:
        state = index.delete(state, gone)
    return index.insert(state, come, np.stack([last[each] for each in come])) if come else state
