"""What is decided for a request: which model answers, and with which examples."""

import asyncio
import time
from typing import NamedTuple

from jaxalign.io.serve.config import Model, ServeConfig, Tenant
from jaxalign.io.serve.gateway.asked import Asked, takes_examples
from jaxalign.io.serve.gateway.counting import Counts
from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.gateway.worker_client import WorkerClient, WorkerGone
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.serving.rendering import ShownExample

TEXT_SECONDS = 0.25  # for reading the texts of examples


class Decided(NamedTuple):
    """Who answers a request."""

    interaction: str  # the id by which feedback names it
    model: Model
    fallback: Model | None  # who answers if the model cannot
    examples: list[ShownExample]
    reason: str  # why there are no examples, or nobody decided; "" otherwise
    policy: str = ""
    wants_feedback: bool = False
    kept: bool = False  # the worker waits for the answer, to learn from it


class Decider:
    """Asks the worker, and knows what to do without it.

    Args:
      config: models and routing.
      worker: the worker.
      calls: the store, for texts of examples.
      counts: where reasons are counted.
    """

    def __init__(self, config: ServeConfig, worker: WorkerClient, calls: StoreCalls, counts: Counts):
        self._config, self._worker, self._calls, self._counts = config, worker, calls, counts
        self._models = {model.name: model for model in config.models}
        self._active = dict.fromkeys(self._models, 0)
        self._asking: set[asyncio.Task] = set()

    def begin(self, model: str) -> None:
        """Notes that a model serves one request more.

        Args:
          model: its name.
        """
        self._active[model] += 1
        self._counts.active.labels(model).set(self._active[model])

    def end(self, model: str) -> None:
        """Notes that a model serves one request less.

        Args:
          model: its name.
        """
        self._active[model] -= 1
        self._counts.active.labels(model).set(self._active[model])

    async def decide(self, interaction: str, tenant: Tenant | None, asked: Asked) -> Decided:
        """Decides within the deadline.

        Args:
          interaction: a new id.
          tenant: who asks; None for nobody.
          asked: the request.

        Raises:
          ApiError: 404, where its model is not known.
        """
        named = self._named(asked)
        wishes, routed = asked.wishes, named is None
        if asked.text is None:
            return self._alone(interaction, named, asked, "not text alone, or too long")
        examples = takes_examples(asked) and tenant is not None and wishes.examples is not False
        examples = examples and (routed or wishes.examples is True)
        learn = tenant is not None and tenant.learns and wishes.learn is not False
        learn = learn and (named is None or named.routed)
        message = {
            "op": "decide",
            "interaction": interaction,
            "tenant": tenant.name if tenant else None,
            "user": asked.user,
            "scope": asked.scope,
            "text": asked.text,
            "shared": bool(tenant and tenant.shared),
            "examples": examples,
            "route": routed,
            "learn": learn,
            "models": [named.name] if named else [model.name for model in self._config.routed],
            "inflight": self._active,
        }
        if not routed and not examples:
            if learn:
                self._ask_later(message)
            return Decided(interaction, named, None, [], "the model was named", kept=learn)
        before = time.monotonic()
        try:
            reply = await self._worker.ask(message, self._config.routing.deadline_seconds)
            return await self._follow(interaction, named, reply, learn)
        except WorkerGone as error:
            return self._alone(interaction, named, asked, str(error))
        finally:
            self._counts.decided.observe(time.monotonic() - before)

    def _named(self, asked: Asked) -> Model | None:
        """The model that the client insists on; None where the router may choose."""
        if asked.model == self._config.routing.alias:
            return None if asked.wishes.route is not False else self._models[self._config.fallback]
        if (model := self._models.get(asked.model)) is None:
            known = [self._config.routing.alias, *self._models]
            raise ApiError(404, f"model: {asked.model!r} is not known; there are {', '.join(known)}", "not_found_error")
        return None if asked.wishes.route is True else model

    async def _follow(self, interaction: str, named: Model | None, reply: dict, learn: bool) -> Decided:
        if (model := self._models.get(reply.get("model"))) is None:  # a worker of other settings
            raise WorkerGone("worker error")
        fallback = self._models[self._config.fallback]
        examples, reason = await self._texts(reply.get("tenants", []), reply.get("examples", []))
        reason = reason or reply.get("reason") or ""
        if reason:
            self._counts.reasons.labels(reason).inc()
        fallback = fallback if named is None and fallback.name != model.name else None
        wants = bool(reply.get("wants_feedback"))
        return Decided(interaction, model, fallback, examples, reason, reply.get("policy", ""), wants, learn)

    async def _texts(self, tenants: list[int], ids: list[int]) -> tuple[list[ShownExample], str]:
        """The texts of examples, of which the store gives only those of these tenants."""
        if not ids:
            return [], ""
        try:
            found = await self._calls.quick(TEXT_SECONDS, self._calls.store.texts, tenants, ids)
        except StoreError:
            return [], "no store"
        shown = [ShownExample(*found[each]) for each in ids if each in found]
        return shown, "" if shown else "examples deleted meanwhile"

    def _alone(self, interaction: str, named: Model | None, asked: Asked, reason: str) -> Decided:
        self._counts.reasons.labels(reason).inc()
        model = named or self._models[self._config.fallback]
        if named is None and not asked.plain and not model.tools:
            model = next((each for each in self._config.routed if each.tools), model)
        return Decided(interaction, model, None, [], reason)

    def _ask_later(self, message: dict) -> None:
        """Tells the worker of a request whose model was named, without waiting."""
        task = asyncio.create_task(self._ask_quietly(message))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask_quietly(self, message: dict) -> None:
        try:
            await self._worker.ask(message, 10.0)
        except WorkerGone as error:
            self._counts.dropped.labels(str(error)).inc()
