"""The thread that decides: it takes requests in micro-batches and answers each.

A batch is what came while the one before was decided: nobody waits for others, and a crowd is decided together.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence

from jaxalign.io.serve.worker.choices import Choices, Decision, Wanted
from jaxalign.io.serve.worker.compilations import Compilations

Reply = Callable[[Decision | BaseException], None]


class LateError(Exception):
    """The deadline had passed before anything was decided: nobody waits any more."""


class Decider:
    """Decides in a thread of its own.

    Args:
      choices: makes the decisions.
      compilations: counts.
    """

    def __init__(self, choices: Choices, compilations: Compilations):
        self._choices, self._compilations = choices, compilations
        self._queue: queue.Queue[tuple[Wanted, Reply] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="decide", daemon=True)
        self.late = 0  # requests whose deadline had passed
        self.decided = 0
        self.failed = 0  # of them, where something went wrong
        self.batches = 0

    def start(self) -> None:
        """Begins; what deciding needs should be compiled."""
        self._thread.start()

    def ask(self, wanted: Wanted, reply: Reply) -> None:
        """Lets a request be decided.

        Args:
          wanted: the request.
          reply: called in the thread that decides, with the decision or what went wrong.
        """
        self._queue.put((wanted, reply))

    def close(self) -> None:
        """Decides what waits, then ends."""
        self._queue.put(None)
        self._thread.join()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._queue.qsize()

    @property
    def compilations(self) -> int:
        """How often something was compiled while requests waited for it; it should be 0."""
        return self._compilations.count(self._thread.ident)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            taken, ended = [first], False
            while len(taken) < self._choices.sizes[-1] and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                ended = more is None
                taken += [more] if more is not None else []
            self._serve(taken)
            if ended:
                return

    def _serve(self, taken: Sequence[tuple[Wanted, Reply]]) -> None:
        now = time.monotonic()
        for _, reply in (late := [each for each in taken if each[0].deadline < now]):
            reply(LateError("the deadline had passed"))
        self.late += len(late)
        if not (taken := [each for each in taken if each[0].deadline >= now]):
            return
        try:
            decisions = self._choices.decide([wanted for wanted, _ in taken])
        except Exception as error:  # whatever it is, requests must not wait for ever, and the thread must go on
            decisions = [error] * len(taken)
            self.failed += len(taken)
        self.decided += len(taken)
        self.batches += 1
        for (_, reply), decision in zip(taken, decisions, strict=True):
            reply(decision)
