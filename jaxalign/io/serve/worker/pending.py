"""Requests between decision and answer: a bounded number of them, used by the event loop alone."""

import collections
import dataclasses
import time
from collections.abc import Callable

from jaxalign.io.serve.store.rows import Identity
from jaxalign.io.serve.worker.choices import Decision
from jaxalign.io.serve.worker.keeping import Answer, Answered

MOST = 4096


@dataclasses.dataclass
class _Open:
    request: str
    shared: bool
    identity: Identity | None = None
    decision: Decision | None = None
    answer: Answer | None = None


class Pending:
    """Joins decisions and answers, whichever comes first.

    Args:
      keep: called with both.
    """

    def __init__(self, keep: Callable[[Answered], None]):
        self._keep = keep
        self._open: collections.OrderedDict[str, _Open] = collections.OrderedDict()
        self.dropped = 0  # requests that were forgotten because too many were open, or the store was read anew
        self.unknown = 0  # answers to requests that are not open
        self.unanswered = 0  # requests without an answer that one could say anything of

    def __len__(self) -> int:
        return len(self._open)

    def expect(self, interaction: str, request: str, *, shared: bool) -> None:
        """Opens a request whose answer is to be kept.

        Args:
          interaction: its id.
          request: its text.
          shared: whether its tenant shares its examples.
        """
        self._open[interaction] = _Open(request, shared)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
            self.dropped += 1

    def decided(self, interaction: str, identity: Identity, decision: Decision) -> None:
        """Notes what was decided of an open request.

        Args:
          interaction: its id.
          identity: who asks.
          decision: what was decided.
        """
        if (found := self._open.get(interaction)) is not None:
            found.identity, found.decision = identity, decision
            self._join(interaction, found)

    def answered(self, interaction: str, answer: Answer) -> None:
        """Notes the answer to a request, before or after its decision.

        Args:
          interaction: its id.
          answer: what came of it.
        """
        if (found := self._open.get(interaction)) is None:
            self.unknown += 1
        elif answer.finish is None:
            del self._open[interaction]
            self.unanswered += 1
        else:
            found.answer = answer
            self._join(interaction, found)

    def cancel(self, interaction: str) -> None:
        """Closes a request that was not decided.

        Args:
          interaction: its id.
        """
        self._open.pop(interaction, None)

    def forget_user(self, user: int) -> None:
        """Closes the requests of a user, and those of others that were shown its examples.

        Args:
          user: its number.
        """
        for interaction, each in list(self._open.items()):
            owners = each.decision.owners if each.decision else ()
            if user in owners or (each.identity is not None and each.identity.user == user):
                del self._open[interaction]

    def forget_all(self) -> None:
        """Closes all requests: who was deleted meanwhile is not known."""
        self.dropped += len(self._open)
        self._open.clear()

    def _join(self, interaction: str, found: _Open) -> None:
        if found.decision is not None and found.answer is not None:
            del self._open[interaction]
            self._keep(
                Answered(
                    interaction, found.identity, found.shared, found.request, found.decision, found.answer, time.time()
                )
            )
