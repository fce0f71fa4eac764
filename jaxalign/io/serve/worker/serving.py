"""The worker's socket: decisions, answers, embeddings and its status, as messages of :mod:`.messages`."""

import asyncio
import contextlib
import math
import os
import pathlib
import signal
import time
from typing import Any

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.rows import SHARED, Identity
from jaxalign.io.serve.worker.choices import MOST_ROWS, Choices, Decision, Wanted
from jaxalign.io.serve.worker.compilations import Compilations
from jaxalign.io.serve.worker.deciding import Decider
from jaxalign.io.serve.worker.embedders import Embedder, make_embedder
from jaxalign.io.serve.worker.following import Follower
from jaxalign.io.serve.worker.identities import Identities
from jaxalign.io.serve.worker.keeping import Answer, Keeper
from jaxalign.io.serve.worker.memory import Followed, Memory
from jaxalign.io.serve.worker.messages import MessageError, read_message, write_message
from jaxalign.io.serve.worker.pending import Pending

MOST_WAITING = 1000  # requests to decide; more are turned away at once
LAST_SECONDS = 10.0  # for writing what waits when the worker ends
FLUSH_SECONDS = 30.0
FIRST_SECONDS = 60.0  # for reading the store before the socket is there


class Worker:
    """Decides, keeps and follows, for all gateways of a machine.

    Args:
      config: the settings.
      store: what lasts; it need not be there.
      embedder: of requests and responses.
      rows: the most requests that are decided at once, a power of two.
    """

    def __init__(self, config: ServeConfig, store: Store, embedder: Embedder, *, rows: int = MOST_ROWS):
        self._config, self._store, self._embedder = config, store, embedder
        self._models = {model.name: place for place, model in enumerate(config.routed)}
        costs = config.costs
        self._dearest = max(config.routed, key=lambda model: costs[model.name])
        self._compilations = Compilations()
        self._memory = Memory(store, embedder, list(self._models), prepare=lambda view: self._choices.prepare(view))
        self._choices = Choices(config, embedder, self._memory.index, lambda: self._memory.view, rows=rows)
        self._decider = Decider(self._choices, self._compilations)
        self._keeper = Keeper(config, store, embedder)
        self._follower = Follower(self._memory, self._followed)
        self._pending = Pending(self._keeper.keep)
        self._identities = Identities(store, config.routing.deadline_seconds / 2)
        self._inflight: dict[int, float] = {}  # of the dearest model, by connection
        self._tasks: set[asyncio.Task] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = self._wrong = self._failures = 0
        self._failure = ""  # the latest

    async def run(self, path: str, ended: asyncio.Event) -> None:
        """Serves until it is told to end; then what waits is decided and written.

        Args:
          path: of the socket; what is there is replaced.
          ended: set when it is to end.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._embedder.warm_up)
        await asyncio.to_thread(self._choices.prepare, self._memory.view)
        for each in (self._decider, self._keeper, self._follower):
            each.start()
        await self._read_first()
        pathlib.Path(path).unlink(missing_ok=True)
        mask = os.umask(0o177)  # nobody else's process may ask or answer
        try:
            server = await asyncio.start_unix_server(self._connected, path)
        finally:
            os.umask(mask)
        try:
            await ended.wait()
        finally:
            server.close()
            await self._close()
            pathlib.Path(path).unlink(missing_ok=True)

    async def _read_first(self) -> None:
        """Waits for the examples that there are, unless the store is not there."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._caught_up()

    async def _caught_up(self) -> None:
        """Waits until all that is in the store is in the view, and those who were deleted are forgotten."""
        future = self._loop.create_future()

        def settle(failure: Exception | None) -> None:
            if not future.cancelled():
                future.set_result(None) if failure is None else future.set_exception(failure)

        self._follower.catch_up(lambda failure: self._loop.call_soon_threadsafe(settle, failure))
        await future

    async def _close(self) -> None:
        await asyncio.to_thread(self._decider.close)
        await asyncio.sleep(0)  # the last decisions' replies
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._keeper.close, LAST_SECONDS)
        await asyncio.to_thread(self._follower.close)
        self._identities.close()
        self._compilations.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        self._tasks.add(connection)
        try:
            while (message := await read_message(reader)) is not None:
                self._take(message, writer)
        except (MessageError, OSError):
            self._wrong += 1
        finally:
            self._tasks.discard(connection)
            self._inflight.pop(id(writer), None)
            writer.close()

    def _take(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if message.get("op") == "answered":
            self._answered(message)
            return
        if message.get("op") == "decide" and message.get("learn") and message.get("tenant") is not None:
            self._pending.expect(message["interaction"], _clean(message["text"]), shared=bool(message["shared"]))
        task = self._loop.create_task(self._reply(message, writer))
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
            self._failures += 1
            self._failure = found["error"]
        with contextlib.suppress(OSError, MessageError):
            write_message(writer, {**found, "id": message.get("id")})
            await writer.drain()

    async def _decide(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any]:
        interaction, learn = message["interaction"], bool(message["learn"]) and message["tenant"] is not None
        began = time.monotonic()
        try:
            if self._decider.waiting > MOST_WAITING:
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
            self._pending.cancel(interaction)
            raise
        if learn and identity is not None:
            self._pending.decided(interaction, identity, decision)
        else:
            self._pending.cancel(interaction)
        return self._told(message, identity, decision)

    async def _identify(self, message: dict[str, Any]) -> Identity | None:
        if message["tenant"] is None:
            return None
        return await self._identities.find(message["tenant"], _clean(message["user"]), message["scope"])

    def _allowed(self, message: dict[str, Any]) -> tuple[int, ...]:
        names = message["models"] if message["route"] else message["models"][:1]
        if not names or (unknown := [name for name in names if name not in self._models]):
            raise MessageError(f"models: expected some of {list(self._models)}, got {unknown if names else names}")
        return tuple(self._models[name] for name in names)

    async def _ask(self, wanted: Wanted) -> Decision:
        future = self._loop.create_future()

        def settle(found: Decision | BaseException) -> None:
            if future.cancelled():
                return
            future.set_exception(found) if isinstance(found, BaseException) else future.set_result(found)

        self._decider.ask(wanted, lambda found: self._loop.call_soon_threadsafe(settle, found))
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
            self._wrong += 1
            return
        self._pending.answered(
            message["interaction"],
            Answer(None if text is None else _clean(text), message.get("finish"), message["model"]),
        )

    async def _embed(self, message: dict[str, Any]) -> dict[str, Any]:
        texts = [_clean(text) for text in message["texts"]]
        vectors, cut = await asyncio.to_thread(self._embedder.embed, texts)
        return {"vectors": vectors.tolist(), "cut": cut.tolist()}

    async def _flush(self, message: dict[str, Any]) -> dict[str, Any]:
        if not await asyncio.to_thread(self._keeper.flush, FLUSH_SECONDS):
            raise TimeoutError(f"the store did not take all within {FLUSH_SECONDS:.0f} s")
        await self._caught_up()
        return {"position": self._memory.position}

    async def _status(self, message: dict[str, Any]) -> dict[str, Any]:
        pending, keeper, decider, memory = self._pending, self._keeper, self._decider, self._memory
        return {
            "policy": memory.view.version,
            "policy_refused": memory.refused,
            "examples": len(memory),
            "without_vectors": memory.missing,
            "too_long_examples": memory.unread,
            "position": memory.position,
            "store": self._follower.failure or "ok",
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
                "messages": self._wrong,
            },
            "failures": self._failures,
            "latest_failure": self._failure,
        }

    def _followed(self, followed: Followed) -> None:
        """Called by the thread that follows, before anybody is told that it caught up."""
        for user in followed.users:
            self._keeper.forget_user(user)
        self._loop.call_soon_threadsafe(self._forget, followed)

    def _forget(self, followed: Followed) -> None:
        if followed.anew:
            self._pending.forget_all()
            self._identities.forget_all()
        for user in followed.users:
            self._pending.forget_user(user)
            self._identities.forget_user(user)


def run_worker(config: ServeConfig, socket_path: str) -> None:
    """Runs a worker until SIGTERM or SIGINT; then what waits is written.

    Args:
      config: the settings.
      socket_path: of the Unix socket.
    """
    embedder = make_embedder(config.embedder, seconds=config.routing.deadline_seconds)
    store = LateStore(lambda: open_store(config.store, config.folder))

    async def serve() -> None:
        ended = asyncio.Event()
        for kind in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(kind, ended.set)
        await Worker(config, store, embedder).run(socket_path, ended)

    try:
        asyncio.run(serve())
    finally:
        store.close()
        embedder.close()


def _clean(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can carry, and neither stores nor tokenizers take."""
    return text.encode(errors="replace").decode()
