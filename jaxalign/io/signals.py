"""SIGTERM, the polite end: what schedulers send before they kill."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def termination() -> Iterator[Callable[[int], bool]]:
    """Inside, SIGTERM is noted rather than fatal; the value is ``requested(step) -> bool``, to be asked every step.

    With several processes, a signal to any of them makes all of them answer True at the same step (JAX's preemption
    service). Outside the main thread signals are left alone.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    noted = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: noted.set())
    try:
        yield lambda step: noted.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)
