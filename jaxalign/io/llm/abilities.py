"""What a server can do: found out with one request for each ability, and kept in the file of answers.

Only what is clear and lasts is kept: an answer with or without what was asked for, or a statement of the server that
names what it cannot do. A path without an endpoint (status 404) shows nothing before another endpoint of the same base
URL has answered for the same model; a refusal without a clear reason (status 400) nothing before the same prompt was
answered when asked in another way and the refusal came a second time. A prompt that is too long shows nothing. What
passes, such as a time-out or a limit of rate, is an error here as everywhere, and is kept nowhere.

A line of the file says what was observed, of which server, and when. If it is deleted, the server is asked again.
"""

import dataclasses
import datetime
import sys

from jaxalign.io.llm.http import RequestError
from jaxalign.io.llm.protocol import Asked, Request, hash_of
from jaxalign.io.llm.refusals import Refusal
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.service import Service

_FORMAT = 2  # of what is kept; higher where the requests that try a server change


@dataclasses.dataclass
class Abilities:
    """Which ways to score options a server knows.

    Attributes:
      service: the server.
      known: whether it knows a way, by the way's name; ways that were not needed are not there.
      reasons: why a way is not known, empty where it is.
    """

    service: Service
    known: dict[str, bool] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    _unsettled: dict[str, tuple[Asked, RequestError]] = dataclasses.field(default_factory=dict)
    _guessed: set[str] = dataclasses.field(default_factory=set)
    _told: set[str] = dataclasses.field(default_factory=set)

    def can(self, name: str, request: Asked | None, plain: Asked) -> bool:
        """Says whether a way is known, by the file or by a request; a later call may find that it is after all.

        Args:
          name: the name of the way.
          request: asks in this way; None for a way that every server knows.
          plain: asks about the same prompt without what only some servers know.

        Raises:
          RequestError: the server did not answer, for a reason that says nothing about what it can do.
        """
        if name not in self.known or name in self._guessed:
            self._guessed.discard(name)
            self.known[name] = self._find_out(name, request, plain)
        return self.known[name]

    def tell(self, name: str) -> None:
        """Prints once what was found out about a way.

        Args:
          name: the name of the way.
        """
        if name in self._told or name in self._guessed:
            return
        self._told.add(name)
        remedy = f"; to try again, delete the line that says so in {self.service.cache.path}"
        how = f"by {name}" if self.known[name] else f"not by {name} ({self.reasons[name]}{remedy})"
        print(f"{self.service.model}: options are scored {how}", file=sys.stderr)

    def _find_out(self, name: str, request: Asked | None, plain: Asked) -> bool:
        if request is None:
            if self._unsettled:
                self._ask(plain)
                self._settle()
            self.reasons[name] = ""
            return True
        if (noted := self._noted(name)) is not None:
            self.reasons[name] = noted
            return not noted
        try:
            reason = self._ask(request)
        except RequestError as error:
            lacking = error.refused is Refusal.NO_ENDPOINT and request.path == Request.path
            if error.refused is None or lacking:  # nothing can be asked of a server without chat completions
                raise
            if error.refused is Refusal.TOO_LONG:  # so is all that is asked now, in whatever way
                self._guessed.add(name)
                return True
            if error.refused is not Refusal.CANNOT:
                self._unsettled[name] = request, error
                self.reasons[name] = error.reason
                return False
            reason = error.reason
        self._note(name, reason)
        if request.path == Request.path:
            self._settle()
        return not reason

    def _settle(self) -> None:
        """A chat was answered: the base URL and the name of the model are right, and so was the prompt."""
        for name, (request, error) in list(self._unsettled.items()):
            del self._unsettled[name]
            reason = error.reason
            if error.refused is Refusal.UNCLEAR:
                try:
                    reason = self._ask(request)
                except RequestError as again:
                    if again.refused in (None, Refusal.TOO_LONG):
                        raise
                    reason = again.reason
            self.known[name] = not reason
            self._note(name, reason)

    def _ask(self, request: Asked) -> str:
        """Why the answer is not what was asked for; empty if it is."""
        before = self.service.ledger.asked
        try:
            (answer,) = self.service.ask([request])
        finally:
            self.service.ledger.asked = before  # the same run again does not try, and costs as much
        return "" if answer.logprobs[0] is not None else "its answer has no log-probabilities"

    def _key(self, name: str) -> str:
        return hash_of(["ability", _FORMAT, self.service.server, self.service.model, name])

    def _noted(self, name: str) -> str | None:
        """What the file says; a replay also believes what earlier versions wrote, whose answers it has."""
        cache, server = self.service.cache, self.service.server
        noted = cache.get(self._key(name), server)
        if noted is None and self.service.replayed:
            noted = cache.get(hash_of(["options", self.service.model, name]), server)
        return None if noted is None else noted.text

    def _note(self, name: str, reason: str) -> None:
        today = datetime.datetime.now(datetime.UTC).date()
        self.reasons[name] = reason = reason and f"{reason}, on {today}"
        answer = Answer((reason,), ("",), 0, 0, (None,))
        note = f"cannot score options by {name}: {reason}" if reason else f"can score options by {name}"
        service = self.service
        service.cache.add(self._key(name), service.model, answer, server=service.server, note=note)
