"""One thread that runs JAX: requests come and go, their samples are decoded side by side."""

import collections
import dataclasses
import threading
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxalign.io.serve.engine.draws import Draw, Room
from jaxalign.sampling import slots, split_once
from jaxalign.sampling.decode import Prompts
from jaxalign.sampling.dials import Dials, dialled, dialled_top_p
from jaxalign.typing import Params


class Drawn(NamedTuple):
    """The next tokens of one of a request's samples."""

    sample: int
    tokens: list[int]
    ended: bool  # by a token that ends it, or its length


Deliver = Callable[[Drawn | Exception], None]
"""It is called in the batcher's thread, with an exception where nothing more will come."""


class BusyError(Exception):
    """No more requests are taken for now."""


class Ticket:
    """A request in the batcher.

    Args:
      draw: what is asked for.
      deliver: takes what was drawn.

    Attributes:
      over: samples that are not to be drawn any further.
    """

    def __init__(self, draw: Draw, deliver: Deliver):
        self.draw, self.deliver = draw, deliver
        self.over: set[int] = set()

    @property
    def all_over(self) -> bool:
        """Says whether none of its samples is wanted any more."""
        return len(self.over) == self.draw.samples

    def end(self) -> None:
        """Ends all of its samples."""
        self.over.update(range(self.draw.samples))


@dataclasses.dataclass(eq=False)
class _Sample:
    ticket: Ticket
    number: int
    drawn: int = 0  # tokens, so far

    @property
    def over(self) -> bool:
        return self.number in self.ticket.over


class Batcher:
    """Draws samples of all requests side by side, in a thread of its own, as a context manager.

    What a request gets does not depend on its neighbours, up to rounding: sample k is what ``sampling.generate`` draws
    as sample k of row 0 from ``jax.random.key(seed)``.

    Args:
      model: a decoder or an encoder-decoder.
      params: its parameters, on one device.
      room: tokens of a slot.
      end_ids: the tokens that end a sample.
      num_slots: samples that are decoded side by side.
      stride: tokens that are decoded before any are delivered and a request that has come begins.
      most_waiting: requests that may wait.

    Attributes:
      room: tokens of a slot.
      num_slots: samples that are decoded side by side.
      most_running: the most that were, so far.

    Raises:
      ValueError: more room than the model's context has.
    """

    def __init__(
        self,
        model,
        params: Params,
        room: Room,
        end_ids: tuple[int, ...],
        *,
        num_slots: int = 8,
        stride: int = 4,
        most_waiting: int = 256,
    ):
        slots.check_room(model.config, *room)
        self.room, self.num_slots, self.most_running = room, num_slots, 0
        self._model, self._weights, self._end_ids = model, split_once(model, params), end_ids
        self._stride, self._most_waiting = stride, most_waiting
        self._changed, self._closed = threading.Condition(), False
        self._waiting: collections.deque[Ticket] = collections.deque()
        self._ready: collections.deque[tuple[_Sample, Prompts, jax.Array]] = collections.deque()
        self._running: dict[int, _Sample] = {}
        self._open()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def __enter__(self) -> "Batcher":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def submit(self, draw: Draw, deliver: Deliver) -> Ticket:
        """Puts a request in line, and returns what ends it early.

        Args:
          draw: what is asked for.
          deliver: takes what is drawn, in the batcher's thread; it must not block.

        Raises:
          BusyError: too many are waiting, or the batcher is being closed.
        """
        ticket = Ticket(draw, deliver)
        with self._changed:
            if self._closed:
                raise BusyError("the engine is closing; ask another server")
            self._waiting = collections.deque(each for each in self._waiting if not each.all_over)
            if len(self._waiting) >= self._most_waiting:
                raise BusyError(f"{len(self._waiting)} requests are waiting, which is the most; try again later")
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def _open(self) -> None:
        self._slots = slots.open_slots(self._model.config, self.num_slots, *self.room, dialled, None)

    def _run(self) -> None:
        while self._wait():
            try:
                self._admit()
                if self._running:
                    self._decode()
            except Exception as error:  # whatever JAX raises: the slots' arrays may be gone
                self._fail(error)
        self._close()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._ready or self._running)
            return not self._closed

    def _admit(self) -> None:
        for slot, sample in list(self._running.items()):
            if sample.over:
                del self._running[slot]
        for slot in range(self.num_slots):
            if slot not in self._running and (found := self._next()) is not None:
                sample, prompt, key = found
                self._running[slot] = sample
                self._slots = slots.insert(self._slots, np.int32(slot), prompt, key, sharding=None)
        self.most_running = max(self.most_running, len(self._running))

    def _next(self) -> tuple[_Sample, Prompts, jax.Array] | None:
        """The next sample that is still wanted, its prompt prefilled."""
        while True:
            while self._ready:
                if not (found := self._ready.popleft())[0].over:
                    return found
            with self._changed:
                if not self._waiting:
                    return None
                ticket = self._waiting.popleft()
            if not ticket.all_over:
                self._prefill(ticket)

    def _prefill(self, ticket: Ticket) -> None:
        draw = ticket.draw
        try:
            tokens, mask = slots.padded_row(draw.prompt, self.room.prompt_tokens)
            prompt = slots.prefill_rows(self._model, self._weights, tokens, mask, rule=dialled)
            dials = Dials(*(np.full(1, value, np.float32) for value in (draw.temperature, draw.top_p)))
            keys = slots.keys_of(jax.random.key(np.uint32(draw.seed)), np.array([0]), np.arange(draw.samples))
        except Exception as error:
            ticket.deliver(error)
            return
        prompt = prompt._replace(memory=dials)
        for number in range(draw.samples):
            self._ready.append((_Sample(ticket, number), prompt, keys[:, number : number + 1]))

    def _decode(self) -> None:
        narrow = any(sample.ticket.draw.top_p < 1 for sample in self._running.values())
        rule = dialled_top_p if narrow else dialled
        self._slots, tokens, _, mask = slots.decode(
            self._model, self._weights, self._slots, rule, self._end_ids, self._stride, self.room.new_tokens, None
        )
        tokens, mask = jax.device_get((tokens, mask))
        for slot, sample in list(self._running.items()):
            new = tokens[slot][mask[slot]].tolist()[: sample.ticket.draw.max_tokens - sample.drawn]
            sample.drawn += len(new)
            ended = new[-1] in self._end_ids or sample.drawn == sample.ticket.draw.max_tokens
            if ended:
                del self._running[slot]
            sample.ticket.deliver(Drawn(sample.number, new, ended))

    def _fail(self, error: Exception) -> None:
        """Requests that have begun get the error; slots begin anew."""
        begun = {sample.ticket for sample in [*self._running.values(), *(each[0] for each in self._ready)]}
        self._running.clear()
        self._ready.clear()
        self._open()
        for ticket in begun:
            ticket.deliver(error)

    def _close(self) -> None:
        error = RuntimeError("the engine was closed")
        self._fail(error)
        with self._changed:
            waiting = list(self._waiting)
        for ticket in waiting:
            ticket.deliver(error)
