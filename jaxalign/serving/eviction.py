"""Eviction as a 0/1 knapsack: of all examples, those stay that bring most offloads in the bytes that there are.

The weight of an example is its bytes, its value its decayed offloads. Production keeps greedily by density (value per
byte); tests compare with exact solutions. Source: IC-Cache (arXiv 2501.12689), the example manager.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxalign.numerics import safe_divide
from jaxalign.serving.gain import offloads_at
from jaxalign.serving.table import ExampleTable


@jax.jit
def keep_greedily(
    values: Float[Array, "N"] | Float[np.ndarray, "N"],
    sizes: Float[Array, "N"] | Float[np.ndarray, "N"],
    capacity: ArrayLike,
) -> Bool[Array, "N"]:
    """Chooses items for a knapsack by density, passing over those that no longer fit; at least half of the best value.

    The choice is made twice, once beginning with the single item of highest value, and the better one returned: without
    this no bound would hold. Items of size 0 are always kept, those of value 0 where they fit. Of equal density the
    earlier item is taken.

    Sums of sizes are float32: near the capacity they are right to about one part in a million.

    Args:
      values: ``[N]``, 0 or more.
      sizes: ``[N]``, 0 or more, in any unit.
      capacity: what the sizes of the items may add up to, in the same unit.

    Returns:
      ``[N]``, True for items to keep.

    >>> print(keep_greedily(jnp.array([6.0, 5, 5]), jnp.array([3.0, 2, 2]), 4.0))
    [False  True  True]
    """
    density = jnp.where(sizes > 0, safe_divide(values, sizes), jnp.inf)
    order = jnp.argsort(-density, stable=True)
    value, size = values[order], sizes[order]

    def fitting(state):
        kept, left = state
        return ~kept & (size <= left)

    def take(state):
        # The longest run of items that fit. What is too large now is so later, so this equals one item at a time.
        kept, left = state
        run = fitting(state)
        total = jnp.cumsum(jnp.where(run, size, 0))
        # The first item of a run fits for sure, whatever cumsum rounds to.
        taken = run & ((total <= left) | (jnp.cumsum(run) == 1))
        return kept | taken, left - jnp.sum(jnp.where(taken, size, 0))

    def fill(kept):
        left = jnp.float32(capacity) - jnp.sum(jnp.where(kept, size, 0))
        kept, _ = jax.lax.while_loop(lambda state: fitting(state).any(), take, (kept, left))
        return kept, jnp.sum(jnp.where(kept, value, 0))

    single = jnp.where(size <= capacity, value, -1)
    greedy, worth = fill(jnp.zeros(values.shape, bool))
    with_single, other = fill((jnp.arange(len(value)) == jnp.argmax(single)) & (single >= 0))
    return jnp.zeros_like(greedy).at[order].set(jnp.where(other > worth, with_single, greedy))


def evict_examples(table: ExampleTable, capacity_bytes: float | int, time: ArrayLike) -> Int[np.ndarray, "N"]:
    """Names the examples to forget so that the others fit into a number of bytes.

    None is named while all fit. Of equal density, an example that was used or inserted later stays (ours), so that new
    ones without offloads go last.

    Args:
      table: the examples.
      capacity_bytes: what the sizes of those that stay may add up to; kept exactly, in float64.
      time: when, in hours; offloads are decayed to it.

    Returns:
      Their ids for :func:`forget_examples`, ascending, int32.

    Raises:
      ValueError: a capacity below 0.
    """
    if not capacity_bytes >= 0:
        raise ValueError(f"capacity_bytes: expected 0 or more bytes, got {capacity_bytes}")
    live, sizes = np.asarray(table.live), np.asarray(table.size, np.float64)
    if sizes[live].sum() <= capacity_bytes:
        return np.zeros(0, np.int32)
    values = np.asarray(offloads_at(table, time))
    latest = np.argsort(-np.asarray(table.updated), kind="stable")
    kept = np.zeros(len(live), bool)
    kept[latest] = keep_greedily(values[latest], np.asarray(table.size)[latest], float(capacity_bytes))
    kept &= live
    density = np.where(sizes > 0, values / np.where(sizes > 0, sizes, 1), np.inf)
    while sizes[kept].sum() > capacity_bytes:  # float32 rounded: see keep_greedily
        kept[np.argmin(np.where(kept, density, np.inf))] = False
    return np.flatnonzero(live & ~kept).astype(np.int32)
