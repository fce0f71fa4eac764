"""The engine as a :class:`~jaxalign.io.serve.upstream.backend.ChatBackend`: tokens become text in the event loop."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence

import numpy as np

from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import space_before
from jaxalign.io.serve.engine.batcher import Batcher, BusyError, Drawn, Ticket
from jaxalign.io.serve.engine.draws import Draw, read_draw
from jaxalign.io.serve.engine.text import TextStream
from jaxalign.io.serve.upstream.backend import Answer, Body, Piece, Refused


class Engine:
    """One model's answers.

    Args:
      name: by which the model is asked for.
      batcher: draws its samples.
      tokenizer: of the model.
      end_ids: the tokens that end a sample, which are not shown.
    """

    def __init__(self, name: str, batcher: Batcher, tokenizer: Tokenizer, end_ids: tuple[int, ...]):
        self._name, self._batcher, self._tokenizer, self._end_ids = name, batcher, tokenizer, end_ids

    def models(self) -> Sequence[str]:
        """Returns the name of the model."""
        return [self._name]

    async def answer(self, body: Body) -> Answer:
        """Begins an answer.

        Args:
          body: the request.

        Raises:
          Refused: it asks for what the engine cannot do, or too many are waiting.
        """
        room, most = self._batcher.room, self._batcher.num_slots
        draw = await asyncio.to_thread(read_draw, body, self._tokenizer, room, most)
        loop, drawn = asyncio.get_running_loop(), asyncio.Queue()

        def deliver(found: Drawn | Exception) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(drawn.put_nowait, found)

        try:
            ticket = self._batcher.submit(draw, deliver)
        except BusyError as error:
            raise Refused(503, str(error), code="busy", headers={"retry-after": "1"}) from error
        pieces = self._pieces(draw, ticket, drawn)
        return Answer(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), len(draw.prompt), pieces)

    async def embed(self, body: Body) -> tuple[Sequence[np.ndarray], int]:
        """Raises, for the model has no embeddings.

        Args:
          body: the request.

        Raises:
          Refused: always.
        """
        raise Refused(400, f"model: {self._name!r} has no embeddings; ask another server", param="model")

    async def _pieces(self, draw: Draw, ticket: Ticket, queue: "asyncio.Queue[Drawn | Exception]") -> AsyncIterator:
        texts: dict[int, TextStream] = {}
        try:
            while not ticket.all_over:
                drawn = await queue.get()
                if isinstance(drawn, Exception):
                    raise Refused(500, f"the engine failed: {type(drawn).__name__}", code="engine") from drawn
                if drawn.sample not in ticket.over:
                    for piece in self._shown(draw, drawn, texts):
                        yield piece
                        if piece.finish:
                            ticket.over.add(drawn.sample)
        finally:
            ticket.end()

    def _shown(self, draw: Draw, drawn: Drawn, texts: dict[int, TextStream]) -> list[Piece]:
        """The pieces of some tokens, the last one with a reason where they end the text."""
        pieces = []
        for place, token in enumerate(drawn.tokens):
            if drawn.sample not in texts:
                space = space_before(draw.prompt, [token], self._tokenizer)
                texts[drawn.sample] = TextStream(self._tokenizer.decode, draw.stops, space)
            text = texts[drawn.sample]
            stopped = token in self._end_ids or token in draw.stop_ids
            shown = "" if stopped else text.add(token)
            last = drawn.ended and place == len(drawn.tokens) - 1
            if text.ended or stopped or last:
                shown += text.finish()
                finish = "stop" if stopped or text.ended else "length"
                return [*pieces, Piece(drawn.sample, text=shown, tokens=1), Piece(drawn.sample, finish=finish)]
            pieces.append(Piece(drawn.sample, text=shown, tokens=1))
        return pieces
