"""How often each thread had JAX compile a program: in the one that decides, it should not after the start."""

import collections
import threading

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """Counts by thread, from the start to :meth:`close`."""

    def __init__(self):
        self._counts: collections.Counter[int] = collections.Counter()
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def count(self, thread: int | None) -> int:
        """Returns how many programs a thread had compiled; they may have come from a cache on the disk.

        Args:
          thread: its ``ident``; None for one that has not begun.
        """
        return self._counts[thread] if thread is not None else 0

    def close(self) -> None:
        """Listens no more."""
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_) -> None:
        if event == _COMPILED:
            self._counts[threading.get_ident()] += 1
