"""Who asks, how fast, and for how much: limits derived by hand."""

import asyncio

import pytest

from jaxalign.io.serve.config import ServeConfig, Tenant, hash_key
from jaxalign.io.serve.gateway.callers import Budgets, Callers, Rates
from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.io.serve.store.protocol import StoreError


class Clock:
    now = 86_400.0 * 100 + 60

    def __call__(self):
        return self.now


def test_a_key_names_its_tenant_and_no_other_key_does():
    callers = Callers(ServeConfig(tenants=(Tenant("a", (hash_key("ka"),)), Tenant("b", (hash_key("kb").upper(),)))))
    assert callers.identify({"authorization": "Bearer ka"}).name == "a"
    assert callers.identify({"authorization": "bearer kb"}).name == "b"
    for headers in ({}, {"authorization": "Bearer kc"}, {"authorization": "Basic ka"}, {"authorization": "ka"}):
        with pytest.raises(ApiError) as refused:
            callers.identify(headers)
        assert refused.value.status == 401


def test_without_tenants_each_key_is_one_and_no_key_is_nobody():
    callers = Callers(ServeConfig())
    one, other = (callers.identify({"authorization": f"Bearer {key}"}) for key in ("k1", "k2"))
    assert one.name != other.name and "k1" not in one.name
    assert callers.identify({}) is None and callers.identify({"authorization": "Bearer "}) is None


def test_a_bucket_gives_its_burst_and_then_its_rate():
    clock, tenant = Clock(), Tenant("a", requests_per_second=2.0, burst=3)
    rates = Rates(clock)
    for _ in range(3):
        rates.check(tenant)
    with pytest.raises(ApiError, match="2 requests a second") as refused:
        rates.check(tenant)
    assert refused.value.status == 429 and refused.value.retry_after == pytest.approx(0.5)
    clock.now += 0.5  # half a second at two a second is one token
    rates.check(tenant)
    with pytest.raises(ApiError):
        rates.check(tenant)


def test_budgets_add_what_this_gateway_let_through_to_what_the_store_knows():
    clock, known = Clock(), {"a": (7, 0.5)}

    async def spent(name, since):
        assert since == 100 * 1440  # the minute of midnight, UTC
        return known[name]

    async def run():
        budgets, tenant = Budgets(spent, clock), Tenant("a", daily_requests=10.0, daily_cost=1.0)
        for _ in range(3):  # 7 and 3 are 10
            await budgets.check(tenant)
        with pytest.raises(ApiError, match="requests are used up: 10 of 10") as refused:
            await budgets.check(tenant)
        assert refused.value.retry_after == 86_340
        known["a"], clock.now = (8, 0.6), clock.now + 6  # the store is asked again
        await budgets.check(tenant)
        budgets.add_cost(tenant, 0.4)  # 0.6 and 0.4 are 1
        with pytest.raises(ApiError, match="cost are used up: 1 of 1"):
            await budgets.check(tenant)

    asyncio.run(run())


def test_a_store_that_is_gone_leaves_the_last_counts():
    clock, answers = Clock(), [(9, 0.0), StoreError("gone")]

    async def spent(name, since):
        if isinstance(answer := answers.pop(0), StoreError):
            raise answer
        return answer

    async def run():
        budgets, tenant = Budgets(spent, clock), Tenant("a", daily_requests=10.0)
        await budgets.check(tenant)
        clock.now += 6
        with pytest.raises(ApiError, match="used up"):
            await budgets.check(tenant)

    asyncio.run(run())
