"""Values between the processes of a run; with one process, nothing happens.

Every process calls these at the same places. Values travel pickled, so they are host objects: texts, numbers, numpy
arrays. One whose process fails reaches nobody, and the others end with its message, see
:mod:`jaxalign.io.cluster.heartbeat`.
"""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def gather(value: Any) -> list[Any]:
    """Returns the values of all processes, in each process.

    Args:
      value: the value of this process; it travels pickled.

    Returns:
      One value for each process, in their order.
    """
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.int64(data.size))
    rows = multihost_utils.process_allgather(np.pad(data, (0, sizes.max() - data.size)))
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(np.asarray(rows), sizes, strict=True)]


def first(fn: Callable[[], Any]) -> Any:
    """Calls a function in process 0 alone, for what touches a disk.

    Args:
      fn: the function, without arguments; its value travels pickled.

    Returns:
      Its value, in each process.
    """
    return gather(fn() if jax.process_index() == 0 else None)[0]


def dealt(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Returns ``[fn(item) for item in items]`` in each process; the processes share the work.

    Args:
      fn: called with one item; its values travel pickled.
      items: the same in each process; item n goes to process n modulo their number.
    """
    count = jax.process_count()
    if count == 1:
        return [fn(item) for item in items]
    parts = gather([fn(item) for item in items[jax.process_index() :: count]])
    return [parts[number % count][number // count] for number in range(len(items))]
