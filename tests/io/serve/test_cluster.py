"""Three gateways on one PostgreSQL behind HAProxy, under load: each is killed, restarted, and the store with them."""

import asyncio
import contextlib
import dataclasses
import signal
import time

import httpx
import pytest

from jaxalign.io.serve.config import Limits
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from tests.io.serve import cluster
from tests.io.serve.clients import REFUSED, Clients
from tests.io.serve.conftest import execute, new_database
from tests.io.serve.gateway import conftest

pytestmark = pytest.mark.skipif(cluster.HAPROXY is None, reason="haproxy is not installed")


@pytest.fixture(scope="module")
def database(postgres, prepared):
    with new_database(postgres, prepared) as url:
        yield url


@pytest.fixture(scope="module")
def balanced(database, tmp_path_factory):
    with balanced_gateways(database, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@contextlib.contextmanager
def balanced_gateways(database, folder):
    """Three gateways, and the balancer before them."""
    with serving([SimulatedModel("large", latency=0.2, rate=50, answer=conftest.echo)]) as upstream:
        config = conftest.settings(upstream, folder, store=database, limits=Limits(drain_seconds=1.0))
        config = dataclasses.replace(config, models=tuple(each for each in config.models if each.name == "large"))
        gateways = cluster.Gateways(config, folder)
        balancer = cluster.Balancer(gateways.ports, folder)
        with gateways.running(), balancer.running():
            yield gateways, balancer


async def restart(gateways, balancer, number):
    """Begins a gateway that ended, and waits until it has requests again."""
    gateways.begin(number)
    await balancer.wait_until(number, "UP")


def assert_only_the_dead_failed(clients, balancer, deaths):
    """What failed was under way in a gateway while it was killed."""
    for each in clients.failed:
        gateway = balancer.gateway_of(each.name)
        assert any(gateway == number and each.began <= killed and each.ended >= dead for number, killed, dead in deaths)


def assert_all_kept(clients, database):
    rows = dict(execute(database, "SELECT interaction, outcome FROM jaxalign.feedback"))
    assert clients.kept and {name: rows.get(name) for name in clients.kept} == clients.kept


def test_killed_gateways_take_with_them_what_they_were_answering_and_nothing_else(balanced, database):
    gateways, balancer = balanced

    async def run():
        deaths = []
        async with Clients(balancer.url).asking() as clients:
            await clients.shared()
            for number in range(3):
                await clients.more()
                gateways.freeze(number)
                await balancer.wait_for_requests(number)
                began = time.monotonic()
                gateways.end(number)
                deaths.append((number, began, time.monotonic()))
                await balancer.wait_until(number, "DOWN")
                await clients.more()
                await restart(gateways, balancer, number)
            await clients.more()
        return clients, deaths

    clients, deaths = asyncio.run(run())
    assert_only_the_dead_failed(clients, balancer, deaths)
    assert {balancer.gateway_of(each.name) for each in clients.failed} == {0, 1, 2} and not clients.refused
    assert_all_kept(clients, database)


def test_a_gateway_that_is_told_to_end_fails_no_request(balanced, database):
    gateways, balancer = balanced

    async def run():
        async with Clients(balancer.url).asking() as clients:
            await clients.more()
            assert await gateways.end_gracefully(1) == -signal.SIGTERM
            await clients.more()
            await restart(gateways, balancer, 1)
            await clients.more()
        return clients

    clients = asyncio.run(run())
    assert not clients.failed and not clients.refused
    assert_all_kept(clients, database)


def test_while_postgresql_is_away_answers_go_on_and_nothing_is_acknowledged(balanced, database, postgres):
    gateways, balancer = balanced
    before = [process.pid for process in gateways.processes]

    async def run():
        async with Clients(balancer.url).asking() as clients:
            await clients.more(feedback=3)
            asked = time.monotonic()
            await asyncio.to_thread(postgres.stop)
            stopped = time.monotonic()
            await clients.more()
            await clients.until(lambda: len(clients.refused) >= 4)
            started = time.monotonic()
            await asyncio.to_thread(postgres.start)
            for url in gateways.urls:
                await until_the_store_is_there(url)
            recovered = time.monotonic()
            await clients.more(feedback=3)
            await clients.shared()
        return clients, asked, stopped, started, recovered

    clients, asked, stopped, started, recovered = asyncio.run(run())
    assert not clients.failed
    meanwhile = [
        each for each in clients.asked if each.kind == "feedback" and stopped < each.began and each.ended < started
    ]
    assert {each.fault for each in meanwhile} == {REFUSED}
    assert all(asked <= each.ended and each.began <= recovered for each in clients.refused)
    assert_all_kept(clients, database)
    assert [process.pid for process in gateways.processes] == before


async def until_the_store_is_there(url):
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=url) as http:
        while (await http.get("/readyz")).json()["store"] != "ok":
            await asyncio.sleep(0.05)
