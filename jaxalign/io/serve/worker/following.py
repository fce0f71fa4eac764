"""The thread that keeps a memory up to date with the store, and embeds what has no vectors yet."""

import queue
import threading
from collections.abc import Callable

from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.worker.embedders import EmbedderError
from jaxalign.io.serve.worker.memory import Followed, Memory

EVERY_SECONDS = 0.2
PAUSE_SECONDS = 1.0  # after a failure

Waiter = Callable[[Exception | None], None]


class Follower:
    """Follows in a thread of its own.

    Args:
      memory: what is kept up to date; nobody else calls its methods.
      tell: called in this thread with what each round brought, if anything.
    """

    def __init__(self, memory: Memory, tell: Callable[[Followed], None]):
        self._memory, self._tell = memory, tell
        self._wake = threading.Event()
        self._ended = False
        self._waiters: queue.SimpleQueue[Waiter] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self.failure = "not read yet"  # why the latest round failed; "" where it did not

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def catch_up(self, waiter: Waiter) -> None:
        """Lets a round begin at once.

        Args:
          waiter: called, in the thread that follows, when all that was in the store at this call is in the view; or
            with what went wrong.
        """
        self._waiters.put(waiter)
        self._wake.set()

    def close(self) -> None:
        """Ends after the round that is under way."""
        self._ended = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            pause = self._round()
            self._wake.wait(pause)
            self._wake.clear()

    def _round(self) -> float:
        """One round; returns how long to wait for the next one."""
        waiting, failure, pause = [], None, EVERY_SECONDS
        while not self._waiters.empty():
            waiting.append(self._waiters.get())
        try:
            followed = self._memory.follow()
            if followed.changes or followed.anew:
                self._tell(followed)
            if self._memory.missing:
                pause = 0.0 if self._memory.embed_missing() else pause
        except (StoreError, EmbedderError) as error:
            failure, pause = error, PAUSE_SECONDS
        except Exception as error:  # a fault of ours: what serves goes on, and it is seen
            failure, pause = error, PAUSE_SECONDS
        self.failure = "" if failure is None else f"{type(failure).__name__}: {failure}"
        for waiter in waiting:
            waiter(failure)
        return pause
