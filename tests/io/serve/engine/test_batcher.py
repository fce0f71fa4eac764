"""The thread that draws: who leaves makes room, what fails is told, and the thread goes on."""

import asyncio
import queue

import jax
import pytest

from jaxalign.io.serve.engine import batcher as batchers
from jaxalign.io.serve.engine.backend import Engine
from jaxalign.io.serve.engine.batcher import Batcher, BusyError, Drawn
from jaxalign.io.serve.engine.draws import Draw, Room
from jaxalign.io.serve.upstream.backend import Refused

ROOM = Room(64, 24)
DRAW = Draw((5, 6, 7), 1, 0.0, 1.0, 24, 0, (), frozenset())


@pytest.fixture
def make(saved):
    _, model, params, _ = saved
    return lambda **options: Batcher(model, params, ROOM, (2,), **{"num_slots": 4, "stride": 3} | options)


def tokens_of(found):
    """All that is delivered of one sample."""
    tokens = []
    while True:
        drawn = found.get(timeout=60)
        if isinstance(drawn, Exception):
            raise drawn
        tokens += drawn.tokens
        if drawn.ended:
            return tokens


def test_requests_are_drawn_side_by_side(make):
    with make() as batcher:
        found = [queue.Queue() for _ in range(6)]
        with batcher._changed:  # all are there before the first begins
            for each in found:
                batcher.submit(DRAW, each.put)
        rows = [tokens_of(each) for each in found]
    assert rows == rows[:1] * 6 and len(rows[0]) == 24
    assert batcher.most_running == 4


def test_who_leaves_makes_room(make):
    """One slot, whose request ends after its first tokens: the next begins at once, and one that left never does."""
    with make(num_slots=1) as batcher:
        first, second, third, events = queue.Queue(), queue.Queue(), queue.Queue(), []

        def leave(drawn):
            events.append(drawn)
            tickets[0].end()
            first.put(drawn)

        with batcher._changed:
            tickets = [batcher.submit(DRAW, leave), batcher.submit(DRAW, second.put), batcher.submit(DRAW, third.put)]
            tickets[1].end()
        assert len(tokens_of(third)) == 24
    assert [len(drawn.tokens) for drawn in events] == [3] and second.empty()


def test_as_many_wait_as_may(make):
    with make(most_waiting=2) as batcher:
        with batcher._changed:
            tickets = [batcher.submit(DRAW, lambda drawn: None) for _ in range(2)]
            with pytest.raises(BusyError, match="2 requests are waiting, which is the most"):
                batcher.submit(DRAW, lambda drawn: None)
            tickets[0].end()
            batcher.submit(DRAW, lambda drawn: None)  # one has left
    with pytest.raises(BusyError, match="closing"):
        batcher.submit(DRAW, lambda drawn: None)


@pytest.mark.parametrize("step", ["padded_row", "insert", "decode"])
def test_failures_are_told_and_the_next_request_is_served(make, monkeypatch, step):
    with make() as batcher:
        found, after = queue.Queue(), queue.Queue()

        def fail(*_, **__):
            monkeypatch.undo()
            raise MemoryError("no room")

        monkeypatch.setattr(batchers.slots, step, fail)
        batcher.submit(DRAW, found.put)
        with pytest.raises(MemoryError):
            tokens_of(found)
        batcher.submit(DRAW, after.put)
        assert len(tokens_of(after)) == 24


def test_closing_tells_those_who_wait(make):
    found = queue.Queue()
    batcher = make()
    batcher.submit(DRAW, found.put)  # the thread has not begun
    batcher._closed = True
    batcher._run()
    with pytest.raises(RuntimeError, match="the engine was closed"):
        tokens_of(found)


def test_a_prompt_and_answer_that_exceed_the_context(saved):
    with pytest.raises(ValueError, match="100 tokens of prompt and 29 new ones exceed the model's context of 128"):
        Batcher(saved[1], saved[2], Room(100, 29), (2,))


class Scripted(Batcher):
    """A batcher that delivers what it is told to."""

    def __init__(self, *events):
        self.room, self.num_slots = ROOM, 4
        self.events, self.ticket = events, None

    def submit(self, draw, deliver):
        if isinstance(self.events[0], BusyError):
            raise self.events[0]
        self.ticket = batchers.Ticket(draw, deliver)
        for each in self.events:
            deliver(each)
        return self.ticket


def answer(saved, scripted, read, **changes):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]} | changes

    async def main():
        return await read(await Engine("tiny", scripted, saved[3], (2,)).answer(body))

    return asyncio.run(main())


async def all_pieces(answer):
    return [piece async for piece in answer.pieces]


async def first_piece(answer):
    piece = await anext(answer.pieces)
    await answer.pieces.aclose()
    return piece


def test_a_client_that_leaves_ends_its_samples(saved):
    scripted = Scripted(Drawn(0, [70, 71], False))
    assert answer(saved, scripted, first_piece, n=2).tokens == 1
    assert scripted.ticket.over == {0, 1}


def test_a_failure_in_the_middle_is_an_error(saved):
    with pytest.raises(Refused, match="the engine failed: MemoryError"):
        answer(saved, Scripted(Drawn(0, [70], False), MemoryError("bytes")), all_pieces)
    with pytest.raises(Refused, match="many") as caught:
        answer(saved, Scripted(BusyError("many")), all_pieces)
    assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})


def test_a_special_token_may_be_a_stop_text(saved):
    scripted = Scripted(Drawn(0, [70, 1, 71], False))  # 1 is <|im_start|>
    pieces = answer(saved, scripted, all_pieces, stop="<|im_start|>")
    assert "".join(piece.text for piece in pieces) == saved[3].decode([70])
    assert pieces[-1].finish == "stop" and sum(piece.tokens for piece in pieces) == 2


def test_nothing_compiles_again(make):
    """Once prompts of a length were seen, settings of requests change no program."""
    with make() as batcher:

        def draw(**changes):
            found = queue.Queue()
            batcher.submit(DRAW._replace(**changes), found.put)
            return tokens_of(found)

        draw(), draw(top_p=0.5)
        compiled = [getattr(batchers.slots, name)._cache_size() for name in ("prefill_rows", "insert", "decode")]
        draw(temperature=0.7, seed=5), draw(temperature=0.3, top_p=0.9, max_tokens=3), draw(prompt=(9, 8))
        again = [getattr(batchers.slots, name)._cache_size() for name in ("prefill_rows", "insert", "decode")]
    assert again == compiled and jax.device_count() > 1  # and on one device of several
