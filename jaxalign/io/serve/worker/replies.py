"""What the worker replies to messages, and what it does about those that want no reply."""

import asyncio
import contextlib
import math
import time
from typing import Any

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.rows import SHARED, Identity
from jaxalign.io.serve.worker.choices import Decision, Wanted
from jaxalign.io.serve.worker.deciding import LateError
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.keeping import Answer
from jaxalign.io.serve.worker.messages import MessageError, write_message
from jaxalign.io.serve.worker.parts import Parts

MOST_WAITING = 1000  # requests to decide; more are turned away at once
FLUSH_SECONDS = 30.0


class Replies:
    """Takes messages, in the event loop.

    Args:
      config: the settings.
      embedder: of texts.
      parts: what does the work.
    """

    def __init__(self, config: ServeConfig, embedder: Embedder, parts: Parts):
        self._config, self._embedder, self._parts = config, embedder, parts
        self._models = {model.name: place for place, model in enumerate(config.routed)}
        costs = config.costs
        self._dearest = max(config.routed, key=lambda model: costs[model.name])
        self._inflight: dict[int, float] = {}  # of the dearest model, by connection
        self._tasks: set[asyncio.Task] = set()
        self.wrong = 0  # messages that could not be read
        self._busy = self._failures = 0
        self._failure = ""  # the latest

    def gone(self, writer: asyncio.StreamWriter) -> None:
        """Forgets a connection.

        Args:
          writer: of the connection.
        """
        self._inflight.pop(id(writer), None)

    async def close(self, seconds: float) -> None:
        """Waits for replies that are under way, then ends those that are left.

        Args:
          seconds: to wait.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Takes a message; what it wants to be told is written when it is known.

        Args:
          message: with its "op".
          writer: of the connection.
        """
        try:
            if message.get("op") == "answered":
                self._answered(message)
                return
            if message.get("op") == "decide" and message.get("learn") and message.get("tenant") is not None:
                pending = self._parts.pending
                pending.expect(message["interaction"], _clean(message["text"]), shared=bool(message["shared"]))
        except (KeyError, TypeError, AttributeError):  # a field is missing, or of another type
            self.wrong += 1
        task = asyncio.get_running_loop().create_task(self._reply(message, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        answers = {"decide": self._decide, "embed": self._embed, "status": self._status, "flush": self._flush}
        try:
            if (answer := answers.get(message.get("op"))) is None:
                raise MessageError(f"op: expected one of {[*answers, 'answered']}, got {message.get('op')!r}")
            found = await (answer(message, writer) if answer == self._decide else answer(message))
        except Exception as error:  # one message's fault must not end the worker
            found = {"error": f"{type(error).__name__}: {error}"}
            if not isinstance(error, LateError):  # those are counted already
                self._failures += 1
                self._failure = found["error"]
        with contextlib.suppress(OSError, MessageError):
            write_message(writer, {**found, "id": message.get("id")})
            await writer.drain()

    async def _decide(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any]:
        interaction, learn = message["interaction"], bool(message["learn"]) and message["tenant"] is not None
        began = time.monotonic()
        try:
            if self._parts.decider.waiting > MOST_WAITING:
                self._busy += 1
                raise MessageError("too many requests wait")
            self._inflight[id(writer)] = message["inflight"].get(self._dearest.name, 0)
            identity = await self._identify(message)
            deadline = self._config.routing.deadline_seconds if message["route"] or message["examples"] else math.inf
            decision = await self._ask(
                Wanted(
                    interaction=interaction,
                    text=_clean(message["text"]),
                    identity=identity,
                    shared=bool(message["shared"]),
                    examples=bool(message["examples"]),
                    allowed=self._allowed(message),
                    load=sum(self._inflight.values()) / self._dearest.slots,
                    deadline=began + deadline,
                )
            )
        except BaseException:
            self._parts.pending.cancel(interaction)
            raise
        if learn and identity is not None:
            self._parts.pending.decided(interaction, identity, decision)
        else:
            self._parts.pending.cancel(interaction)
        return self._told(message, identity, decision)

    async def _identify(self, message: dict[str, Any]) -> Identity | None:
        if message["tenant"] is None:
            return None
        return await self._parts.identities.find(message["tenant"], _clean(message["user"]), message["scope"])

    def _allowed(self, message: dict[str, Any]) -> tuple[int, ...]:
        names = message["models"] if message["route"] else message["models"][:1]
        if not names or (unknown := [name for name in names if name not in self._models]):
            raise MessageError(f"models: expected some of {list(self._models)}, got {unknown if names else names}")
        return tuple(self._models[name] for name in names)

    async def _ask(self, wanted: Wanted) -> Decision:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def settle(found: Decision | BaseException) -> None:
            if future.cancelled():
                return
            future.set_exception(found) if isinstance(found, BaseException) else future.set_result(found)

        self._parts.decider.ask(wanted, lambda found: loop.call_soon_threadsafe(settle, found))
        return await future

    def _told(self, message: dict[str, Any], identity: Identity | None, decision: Decision) -> dict[str, Any]:
        tenants = [identity.tenant, *([SHARED] if message["shared"] else [])] if identity else []
        reason = "no store" if identity is None and message["tenant"] is not None else decision.reason
        return {
            "model": self._config.routed[decision.model].name,
            "examples": list(decision.examples),
            "tenants": tenants,
            "tenant": identity.tenant if identity else None,
            "policy": decision.version,
            "reason": reason,
            "wants_feedback": bool(decision.doubtful and identity is not None and message["learn"]),
        }

    def _answered(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        if message.get("model") not in self._models:
            self.wrong += 1
            return
        self._parts.pending.answered(
            message["interaction"],
            Answer(None if text is None else _clean(text), message.get("finish"), message["model"]),
        )

    async def _embed(self, message: dict[str, Any]) -> dict[str, Any]:
        texts = [_clean(text) for text in message["texts"]]
        vectors, cut = await asyncio.to_thread(self._embedder.embed, texts)
        return {"vectors": vectors.tolist(), "cut": cut.tolist()}

    async def _flush(self, message: dict[str, Any]) -> dict[str, Any]:
        if not await asyncio.to_thread(self._parts.keeper.flush, FLUSH_SECONDS):
            raise TimeoutError(f"the store did not take all within {FLUSH_SECONDS:.0f} s")
        await self._parts.catch_up()
        return {"position": self._parts.memory.position}

    async def _status(self, message: dict[str, Any]) -> dict[str, Any]:
        parts = self._parts
        pending, keeper, decider, memory = parts.pending, parts.keeper, parts.decider, parts.memory
        return {
            "policy": memory.view.version,
            "policy_refused": memory.refused,
            "examples": len(memory),
            "without_vectors": memory.missing,
            "too_long_examples": memory.unread,
            "position": memory.position,
            "store": parts.follower.failure or "ok",
            "embedder": memory.ground.embedder,
            "compilations": decider.compilations,
            "decided": decider.decided,
            "batches": decider.batches,
            "kept": keeper.kept,
            "new_examples": keeper.examples,
            "refused": dict(keeper.refused),
            "waiting": {"decisions": decider.waiting, "answers": keeper.waiting, "open": len(pending)},
            "dropped": {
                "late": decider.late,
                "failed": decider.failed,
                "busy": self._busy,
                "answers": keeper.dropped,
                "open": pending.dropped,
                "unknown": pending.unknown,
                "unanswered": pending.unanswered,
                "messages": self.wrong,
            },
            "failures": self._failures,
            "latest_failure": self._failure,
        }


def _clean(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can carry, and neither stores nor tokenizers take."""
    return text.encode(errors="replace").decode()
