"""What is kept of answers: decisions that wait for theirs, and the thread that writes both to the store.

Texts go through admission; what it refuses is not kept. A store that fails is tried again for a while, then what it
should have kept is dropped and counted: requests never wait for it.
"""

import collections
import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.protocol import Store, StoreError
from jaxalign.io.serve.store.rows import SHARED, Identity, Interaction, NewExample, Vectors
from jaxalign.io.serve.worker.choices import Decision
from jaxalign.io.serve.worker.embedders import Embedder, EmbedderError
from jaxalign.prompting import guess_tokens
from jaxalign.serving.admission import Admission, admit

GATHER_SECONDS = 0.2  # that an answer waits for others
MOST_AT_ONCE = 64
MOST_WAITING = 4096  # answers
PAUSES = (0.1, 0.3, 1.0, 3.0)  # seconds between attempts
UNJUDGED = 0.5  # the quality of a response that nobody has judged


class Answer(NamedTuple):
    """What came of a request."""

    text: str | None  # None where there is no complete one
    finish: str | None  # why the model ended
    model: str


class Answered(NamedTuple):
    """A request that was decided and answered."""

    interaction: str
    identity: Identity
    shared: bool  # its tenant shares its examples
    request: str
    decision: Decision
    answer: Answer
    at: float  # seconds since 1970


class Keeper:
    """Writes what is to be kept, in a thread of its own.

    Args:
      config: the settings.
      store: where it goes.
      embedder: of responses.
    """

    def __init__(self, config: ServeConfig, store: Store, embedder: Embedder):
        self._store, self._embedder, self._costs = store, embedder, config.costs
        self._models = {model.name: model for model in config.routed}
        self._names = [model.name for model in config.routed]
        self._judged = bool(config.learning.judge)
        self._queue: queue.Queue[Answered | threading.Event | None] = queue.Queue()
        self._gone: set[int] = set()  # users who were deleted
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keep", daemon=True)
        self.kept = self.examples = self.dropped = 0
        self.refused: collections.Counter[str] = collections.Counter()  # answers, by admission's reasons

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def keep(self, answered: Answered) -> None:
        """Lets an answer be kept; where too many wait, it is dropped and counted.

        Args:
          answered: the answer with its request.
        """
        if self._queue.qsize() >= MOST_WAITING:
            self.dropped += 1
        else:
            self._queue.put(answered)

    def forget_user(self, user: int) -> None:
        """Lets nothing of a user be written any more.

        Args:
          user: its number, which nobody has again.
        """
        self._gone.add(user)

    def flush(self, seconds: float) -> bool:
        """Waits until all that was given before is written or dropped; False where it takes longer.

        Args:
          seconds: to wait.
        """
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def close(self, seconds: float) -> None:
        """Writes what waits, then ends; what a store that is gone does not take in time is dropped.

        Args:
          seconds: to wait.
        """
        self._queue.put(None)
        self._thread.join(seconds)
        self._ending.set()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """How many answers wait."""
        return self._queue.qsize()

    def _run(self) -> None:
        ended = False
        while not ended:
            taken, until = [self._queue.get()], time.monotonic() + GATHER_SECONDS
            while isinstance(taken[-1], Answered) and len(taken) < MOST_AT_ONCE:
                try:
                    taken.append(self._queue.get(timeout=max(until - time.monotonic(), 0)))
                except queue.Empty:
                    break
            last = taken[-1]
            self._write([each for each in taken if isinstance(each, Answered)])
            if isinstance(last, threading.Event):
                last.set()
            ended = last is None

    def _write(self, answered: Sequence[Answered]) -> None:
        answered = [each for each in answered if self._gone.isdisjoint({each.identity.user, *each.decision.owners})]
        if not answered:
            return
        admissions = [_admission(each) for each in answered]
        for admission in admissions:
            self.refused.update(admission.reasons)
        pairs = list(zip(answered, admissions, strict=True))
        interactions = [self._interaction(each, admission) for each, admission in pairs]
        teaching = [each for each, admission in pairs if admission.admitted and self._teaches(each)]
        if self._attempt(lambda: self._store.add_interactions(interactions), len(answered)):
            self.kept += len(answered)
            if teaching and self._attempt(lambda: self._add_examples(teaching), len(teaching)):
                self.examples += len(teaching)

    def _attempt(self, write, count: int) -> bool:
        for pause in (*PAUSES, None):
            try:
                write()
                return True
            except (StoreError, EmbedderError):
                if pause is None or self._ending.wait(pause):
                    break
            except ValueError:  # what no store keeps, now or later
                break
        self.dropped += count
        return False

    def _teaches(self, answered: Answered) -> bool:
        return self._models[answered.answer.model].teaches and not answered.decision.cut

    def _add_examples(self, answered: Sequence[Answered]) -> None:
        responses, _ = self._embedder.embed([each.answer.text for each in answered])
        rows = [self._example(each) for each in answered]
        vectors = [Vectors(each.decision.query, response) for each, response in zip(answered, responses, strict=True)]
        self._store.add_examples(rows, self._embedder.id, vectors)

    def _example(self, answered: Answered) -> NewExample:
        who, text = answered.identity, answered.answer.text
        return NewExample(
            tenant=SHARED if answered.shared else who.tenant,
            partition=who.shared if answered.shared else who.partition,
            user=who.user,
            request=answered.request,
            response=text,
            model=answered.answer.model,
            tokens=guess_tokens(answered.request) + guess_tokens(text),
            quality=UNJUDGED,
            cost=self._costs[answered.answer.model],
        )

    def _interaction(self, answered: Answered, admission: Admission) -> Interaction:
        who, decision, answer = answered.identity, answered.decision, answered.answer
        chosen = answer.model == self._names[decision.model]  # otherwise a fallback answered
        told = admission.admitted and self._judged
        shown = decision.examples if chosen or self._models[answer.model].examples else ()
        return Interaction(
            id=answered.interaction,
            tenant=who.tenant,
            user=who.user,
            partition=who.partition,
            model=answer.model,
            request=answered.request if admission.admitted else None,
            response=answer.text if admission.admitted else None,
            examples=shown,
            owners=decision.owners,
            context=np.asarray(decision.context, np.float32).tobytes(),
            query=np.asarray(decision.query, np.float32).tobytes(),
            embedder=self._embedder.id,
            policy=decision.version if chosen else "",
            propensity=decision.propensity if chosen else 1.0,
            threshold=decision.threshold if chosen else -1,
            opponent=self._names[decision.opponent] if told and chosen and decision.opponent >= 0 else None,
            probes=decision.probes if told else (),
            cost=self._costs[answer.model],
            created=answered.at,
        )


def _admission(answered: Answered) -> Admission:
    answer = answered.answer
    if answered.decision.cut:
        return Admission(("too long for the embedder",))
    return admit(answered.request, answer.text or "", finish_reason=answer.finish)
