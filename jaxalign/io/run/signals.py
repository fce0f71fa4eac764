"""SIGTERM, the polite end: what schedulers send before they kill; and SIGINT, where a user's is to be as polite."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def termination(*others: signal.Signals) -> Iterator[Callable[[int], bool]]:
    """Inside, SIGTERM is noted rather than fatal, so that a loop can end when it suits it.

    With several processes, a signal to any of them makes all of them answer True at the same step (JAX's preemption
    service). Outside the main thread signals are left alone.

    Args:
      others: signals that are noted as well, but only once: who presses Ctrl-C again does not want to wait.

    Returns:
      A context manager that gives ``requested(step) -> bool``, to be asked every step.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    noted = threading.Event()

    def note(number, frame):
        noted.set()
        if number in others:
            signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, *others)}
    try:
        yield lambda step: noted.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
