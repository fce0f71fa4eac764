r"""What each example has brought, and what a better response of it might bring, from its uses; both fade with time.

Each time an example is shown to a model it adds to its gain

.. math:: G \mathrel{+}= (1 - \text{normalised response quality}) \cdot \text{normalised model cost},

high where dear models still answer badly with it, and to its offloads 1 where a small model answered well. An hour
multiplies both by 0.9: the paper says so of offloads, and that gains are decayed, not how fast (ours).
Source: IC-Cache (arXiv 2501.12689), the example manager.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxalign.serving.table import ExampleTable

DECAY = 0.9  # an hour's factor


def record_uses(
    table: ExampleTable,
    ids: Int[Array, "N"] | Int[np.ndarray, "N"],
    qualities: Float[Array, "N"] | Float[np.ndarray, "N"],
    costs: Float[Array, "N"] | Float[np.ndarray, "N"],
    offloaded: Bool[Array, "N"] | Bool[np.ndarray, "N"],
    time: ArrayLike,
) -> ExampleTable:
    """Adds uses of examples to their gains and offloads; several uses of one example add up.

    The result does not depend on the order of calls: a use that is reported late counts for what is left of it. It is
    compiled once for each N and capacity, and does not copy the embeddings.

    Args:
      table: the examples.
      ids: ``[N]``, an example in each use; -1, and one that was forgotten meanwhile, is passed over.
      qualities: ``[N]``, of the response that was written with the example, 0 to 1; NaN where nobody judged it, which
        adds nothing to the gain.
      costs: ``[N]``, of the model that wrote it, over that of the dearest: 0 to 1.
      offloaded: ``[N]``, True where a small model answered well enough, so that no large one was needed.
      time: when, in hours.

    Returns:
      The table with these uses.
    """
    use = tuple(map(jnp.asarray, (ids, qualities, costs, offloaded)))
    fields = table.live, table.gain, table.offloads, table.updated
    gain, offloads, updated = _add_uses(*fields, *use, jnp.float32(time))
    return table._replace(gain=gain, offloads=offloads, updated=updated)


@jax.jit
def gains_at(table: ExampleTable, time: ArrayLike) -> Float[Array, "C"]:
    """Returns each example's decayed gain, ``[C]``; 0 in free rows.

    Args:
      table: the examples.
      time: when, in hours.
    """
    return table.gain * _left(table.updated, time)


@jax.jit
def offloads_at(table: ExampleTable, time: ArrayLike) -> Float[Array, "C"]:
    """Returns each example's decayed number of successful offloads, ``[C]``; 0 in free rows.

    Args:
      table: the examples.
      time: when, in hours.
    """
    return table.offloads * _left(table.updated, time)


def _left(since: Float[Array, "..."], time: ArrayLike) -> Float[Array, "..."]:
    """The share that is left at a time; a time before ``since`` takes nothing off."""
    return DECAY ** jnp.maximum(jnp.float32(time) - since, 0)


@jax.jit
def _add_uses(live, gain, offloads, updated, ids, qualities, costs, offloaded, time):
    known = (ids >= 0) & live.at[ids].get(mode="fill", fill_value=False)
    rows = jnp.where(known, ids, live.shape[0])  # behind the table, where reads give 0 and writes are dropped
    now = updated.at[rows].max(time, mode="drop")
    newest = _read(now, rows)
    fades, counts = _left(_read(updated, rows), newest), _left(time, newest)
    judged = ~jnp.isnan(qualities)
    missing = jnp.where(judged, 1 - jnp.clip(jnp.where(judged, qualities, 1), 0, 1), 0)

    def add(values, new):
        # Uses of one example all set the same number before each adds its own.
        faded = values.at[rows].set(_read(values, rows) * fades, mode="drop")
        return faded.at[rows].add(new * counts, mode="drop")

    return add(gain, missing * jnp.clip(costs, 0, 1)), add(offloads, offloaded.astype(jnp.float32)), now


def _read(values: Float[Array, "C"], rows: Int[Array, "N"]) -> Float[Array, "N"]:
    return values.at[rows].get(mode="fill", fill_value=0)
