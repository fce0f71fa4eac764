"""Who asks: tenants by their API keys, how fast they may ask, and how much they may spend."""

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Mapping

from jaxalign.io.serve.config import ServeConfig, Tenant, hash_key
from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.io.serve.store.protocol import StoreError

FRESH_SECONDS = 5.0  # for which what the store says of a tenant's spending is believed
MOST_TENANTS = 10_000  # whose rates are kept; the longest silent one is forgotten first


class Callers:
    """Knows tenants.

    Args:
      config: with its tenants; without any, each key is a tenant of its own, and no key is nobody.
    """

    def __init__(self, config: ServeConfig):
        self._by_key = {key: tenant for tenant in config.tenants for key in tenant.key_sha256}

    def identify(self, headers: Mapping[str, str]) -> Tenant | None:
        """Returns the tenant of a request; None for nobody, who is answered but neither shown nor taught anything.

        Args:
          headers: names in lower case.

        Raises:
          ApiError: 401, where tenants are named and the key is none of theirs.
        """
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        if not self._by_key:
            return Tenant(f"key-{hash_key(key)[:16]}") if key else None
        hashed = hash_key(key)
        for known, tenant in self._by_key.items():
            if hmac.compare_digest(known.lower(), hashed):
                return tenant
        raise ApiError(
            401,
            "the API key is not known; send `Authorization: Bearer KEY` with a key of a tenant of this server",
            "authentication_error",
        )


class Rates:
    """Limits how fast tenants ask, with one bucket of tokens for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when

    def check(self, tenant: Tenant) -> None:
        """Takes one token.

        Args:
          tenant: who asks.

        Raises:
          ApiError: 429, when there is none.
        """
        if tenant.requests_per_second == math.inf:
            return
        now = self._clock()
        tokens, then = self._buckets.pop(tenant.name, (float(tenant.burst), now))
        tokens = min(tenant.burst, tokens + (now - then) * tenant.requests_per_second)
        allowed = tokens >= 1
        self._buckets[tenant.name] = (tokens - allowed, now)
        if len(self._buckets) > MOST_TENANTS:
            del self._buckets[next(iter(self._buckets))]
        if not allowed:
            wait = (1 - tokens) / tenant.requests_per_second
            raise ApiError(
                429,
                f"more than {tenant.requests_per_second:g} requests a second (burst {tenant.burst}); wait {wait:.1f} s",
                "rate_limit_error",
                wait,
            )


SpentFn = Callable[[str, int], Awaitable[tuple[int, float]]]


class Budgets:
    """Limits what tenants ask and spend in a day (UTC), over all gateways.

    The store's counts are asked for every few seconds, and what this gateway adds in between is added to them; gateways
    may overshoot together by what they let through in those seconds. While the store is gone, the last counts hold.

    Args:
      spent_fn: awaits requests and cost of a tenant from a minute on; a StoreError is passed over.
    """

    def __init__(self, spent_fn: SpentFn, clock: Callable[[], float] = time.time):
        self._spent_fn, self._clock = spent_fn, clock
        self._known: dict[str, tuple[int, float, float]] = {}  # requests, cost, when they were asked for
        self._since: dict[str, list[float]] = {}  # added here since then

    async def check(self, tenant: Tenant) -> None:
        """Counts a request.

        Args:
          tenant: who asks.

        Raises:
          ApiError: 429, when the day's budget is spent.
        """
        if tenant.daily_requests == math.inf and tenant.daily_cost == math.inf:
            return
        requests, cost, asked = self._known.get(tenant.name, (0, 0.0, -math.inf))
        if self._clock() - asked > FRESH_SECONDS:
            requests, cost = await self._ask(tenant.name, requests, cost)
        added = self._since.setdefault(tenant.name, [0, 0.0])
        for name, used, most in (
            ("requests", requests + added[0], tenant.daily_requests),
            ("cost", cost + added[1], tenant.daily_cost),
        ):
            if used >= most:
                left = 86_400 - self._clock() % 86_400
                raise ApiError(429, f"the day's {name} are used up: {used:g} of {most:g}", "insufficient_quota", left)
        added[0] += 1

    def add_cost(self, tenant: Tenant, cost: float) -> None:
        """Counts what an answer cost.

        Args:
          tenant: whose it was.
          cost: in the currency of the prices.
        """
        if tenant.name in self._since:
            self._since[tenant.name][1] += cost

    async def _ask(self, name: str, requests: int, cost: float) -> tuple[int, float]:
        now = self._clock()
        self._known[name] = (requests, cost, now)  # so that others do not ask meanwhile
        midnight = int(now // 86_400) * 1440
        try:
            requests, cost = await asyncio.wait_for(self._spent_fn(name, midnight), 0.2)
        except (StoreError, TimeoutError):  # the request is worth more than the count
            return requests, cost
        self._known[name] = (requests, cost, now)
        self._since[name] = [0, 0.0]
        return requests, cost
