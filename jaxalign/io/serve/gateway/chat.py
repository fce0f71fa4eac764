"""``POST /v1/chat/completions``: from a request to its answer, and what is told of it."""

import secrets
import time

from jaxalign.io.serve.config import ServeConfig, Tenant
from jaxalign.io.serve.gateway import asked as asking
from jaxalign.io.serve.gateway.asked import PREFIX, Asked
from jaxalign.io.serve.gateway.counting import Counts
from jaxalign.io.serve.gateway.decisions import Decided, Decider
from jaxalign.io.serve.gateway.delivery import Delivery
from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.io.serve.gateway.flights import Answered, Flights
from jaxalign.io.serve.gateway.passing import Given, pass_stream, pass_whole
from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.gateway.upstreams import UpstreamError, Upstreams, passed_back
from jaxalign.io.serve.gateway.worker_client import WorkerClient

PATH = "/chat/completions"
CHARACTERS = 4  # of a token, where the upstream does not count
ANOTHER_MAY = (404, 408, 429)  # and from 500 on: statuses after which another model is asked


class Chats:
    """Answers requests.

    Args:
      config: the settings.
      calls: the store.
      worker: is told of answers.
      decider: decides.
      upstreams: answer.
      counts: count.
    """

    def __init__(
        self,
        config: ServeConfig,
        calls: StoreCalls,
        worker: WorkerClient,
        decider: Decider,
        upstreams: Upstreams,
        counts: Counts,
    ):
        self._store, self._worker, self._decider = calls.store, worker, decider
        self._upstreams, self._counts = upstreams, counts
        urls = {each.name: each.base_url for each in config.upstreams}
        self._served = [
            [config.routing.alias, config.fallback],
            *([each.name, each.upstream_model, urls[each.upstream], each.routed] for each in config.models),
        ]
        self._flights = Flights(calls, config.routing.flight_seconds, config.routing.reuse_seconds)

    async def answer(self, tenant: Tenant | None, asked: Asked, delivery: Delivery) -> float:
        """Answers a request, by an upstream or by what an equal request is given, and returns what it cost.

        Args:
          tenant: who asks; None for nobody.
          asked: the request.
          delivery: to the client.

        Raises:
          ApiError: nothing could answer, and the client was sent nothing.
        """
        if tenant is None or not _shares(tenant, asked):
            _, cost = await self._lead(tenant, asked, delivery)
            return cost
        key, began = asking.answer_key(tenant.name, asked.body, self._served), time.monotonic()
        async with self._flights.join(key, lambda: self._store.identify(tenant.name, asked.user, "")) as flight:
            if isinstance(flight, Answered):
                await self._give_again(tenant, flight, delivery, began)
                return 0.0
            given, cost = await self._lead(tenant, asked, delivery)
            if given.good or given.answer.status != 200:
                flight.land(given.answer)
            return cost

    async def _lead(self, tenant: Tenant | None, asked: Asked, delivery: Delivery) -> tuple[Given, float]:
        """Has an upstream answer, and tells what came of it; what it cost is given back too."""
        began, interaction = time.monotonic(), f"ix-{secrets.token_hex(12)}"
        decided = await self._decider.decide(interaction, tenant, asked)
        given, cost = None, 0.0
        try:
            given = await self._ask(decided, asked, delivery)
            return given, (cost := self._cost(given, asked))
        finally:  # also when the client leaves or the upstream breaks: then nothing is learnt
            if decided.kept:
                self._tell(decided, given)
            self._count(tenant, decided, given, cost, time.monotonic() - began)

    async def _ask(self, decided: Decided, asked: Asked, delivery: Delivery) -> Given:
        """Asks the chosen model and, if it cannot answer before anything was sent, the fallback."""
        try:
            return await self._pass_on(decided, asked, delivery)
        except UpstreamError as error:
            if decided.fallback is None or delivery.started:
                raise ApiError(502, f"the upstream gave no answer ({error})", "upstream_error") from error
        self._counts.reasons.labels("the model failed").inc()
        return await self._ask(decided._replace(model=decided.fallback, fallback=None, examples=[]), asked, delivery)

    async def _pass_on(self, decided: Decided, asked: Asked, delivery: Delivery) -> Given:
        model = decided.model
        body = asking.with_examples(asked.body, decided.examples) if decided.examples else asked.body
        sent = asking.for_upstream(body, model.upstream_model or model.name)
        self._decider.begin(model.name)
        try:
            async with self._upstreams.post(model, PATH, sent) as response:
                status = response.status_code
                if decided.fallback is not None and (status >= 500 or status in ANOTHER_MAY):
                    raise UpstreamError(f"{model.name}: status {status}")
                headers = [*passed_back(response.headers), *decision_headers(decided)]
                streams = response.headers.get("content-type", "").startswith("text/event-stream")
                return await (pass_stream if streams else pass_whole)(model, response, headers, delivery)
        finally:
            self._decider.end(model.name)

    async def _give_again(self, tenant: Tenant, shared: Answered, delivery: Delivery, began: float) -> None:
        """Gives the answer of an equal request."""
        headers = [(name, value) for name, value in shared.headers if name != f"{PREFIX}cached"]
        await delivery.whole(shared.status, [*headers, (f"{PREFIX}cached", "true")], shared.body)
        model = dict(headers).get(f"{PREFIX}model", "")
        self._counts.requests.labels(model, "cached").inc()
        self._counts.add(tenant.name, model, requests=1, cached=1, seconds=time.monotonic() - began)

    def _tell(self, decided: Decided, given: Given | None) -> None:
        usable = given is not None and given.good
        self._worker.tell(
            {
                "op": "answered",
                "interaction": decided.interaction,
                "text": given.read.text if usable else None,
                "finish": given.read.finish if usable else None,
                "model": given.model.name if given else decided.model.name,
                "tokens": given.read.answer_tokens if given else None,
            }
        )

    def _cost(self, given: Given, asked: Asked) -> float:
        """In the currency of the prices; where the upstream does not count tokens they are estimated."""
        if not given.good:
            return 0.0
        prompt, answer = given.read.prompt_tokens, given.read.answer_tokens
        if prompt is None or answer is None:
            self._counts.estimated.inc()
            prompt = len(str(asked.body["messages"])) // CHARACTERS
            answer = len(given.read.text or "") // CHARACTERS
        return (prompt * given.model.prompt_price + answer * given.model.answer_price) / 1e6

    def _count(self, tenant: Tenant | None, decided: Decided, given: Given | None, cost: float, seconds: float) -> None:
        model = given.model if given else decided.model
        good = given is not None and given.good
        shown = len(decided.examples) if good and model is decided.model else 0
        self._counts.requests.labels(model.name, "answered" if good else "failed").inc()
        self._counts.seconds.labels(model.name).observe(seconds)
        self._counts.examples.inc(shown)
        self._counts.add(
            tenant.name if tenant else "",
            model.name,
            requests=1,
            errors=int(not good),
            with_examples=int(shown > 0),
            prompt_tokens=(given.read.prompt_tokens if given else None) or 0,
            answer_tokens=(given.read.answer_tokens if given else None) or 0,
            cost=cost,
            seconds=seconds,
        )


def decision_headers(decided: Decided) -> list[tuple[str, str]]:
    """Returns the headers that tell a client what was decided.

    Args:
      decided: the decision, with the model that answers.
    """
    found = {
        "id": decided.interaction,
        "model": decided.model.name,
        "examples": str(len(decided.examples)),
        "cached": "false",
        "policy": decided.policy,
        "reason": decided.reason,
        "feedback": "wanted" if decided.wants_feedback else "",
    }
    return [(PREFIX + name, value) for name, value in found.items() if value]


def _shares(tenant: Tenant, asked: Asked) -> bool:
    """Says whether a request may have the answer of an equal one."""
    if tenant.reuse == "none" or asked.wishes.cache is False:
        return False
    return tenant.reuse == "all" or asked.wishes.cache is True or asking.is_deterministic(asked.body)
