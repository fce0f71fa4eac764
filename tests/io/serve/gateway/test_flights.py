"""Equal requests at once make one upstream call, over three processes; after the leader's death at most one more."""

import asyncio
import contextlib
import dataclasses

import httpx
import pytest

from jaxalign.io.serve.config import Model
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from tests.io.serve import cluster
from tests.io.serve.conftest import new_database
from tests.io.serve.gateway import conftest
from tests.io.serve.gateway.conftest import echo

KEY = {"authorization": "Bearer k1"}


@pytest.fixture(scope="module")
def lazy():
    with serving([SimulatedModel("large", latency=1.0, answer=echo), SimulatedModel("slow", latency=2.0)]) as found:
        yield found


@pytest.fixture(autouse=True)
def uncounted(lazy):
    lazy.counts.clear()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateways(request, lazy, tmp_path_factory):
    """Three gateway processes on one store."""
    folder = tmp_path_factory.mktemp("replicas")
    with contextlib.ExitStack() as stack:
        store = "sqlite"
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres"), request.getfixturevalue("prepared")
            store = stack.enter_context(new_database(*server))
        config = conftest.settings(lazy, folder, store=store)
        config = dataclasses.replace(config, models=(Model("large", "here"), Model("slow", "here")))
        yield stack.enter_context(cluster.Gateways(config, folder).running())


def equal(text):
    """A request for which others may have its answer; each test has a text of its own."""
    return {"model": "large", "messages": [{"role": "user", "content": text}], "temperature": 0}


async def ask(client, url, body, **headers):
    """The answer's text, whether it was another's, and its id; None where the gateway died."""
    try:
        found = await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
    except httpx.TransportError:
        return None
    return found.text, found.headers["x-jaxalign-cached"], found.headers["x-jaxalign-id"]


def client():
    return httpx.AsyncClient(headers=KEY, timeout=30, limits=httpx.Limits(max_connections=None))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fifty_equal_misses_over_three_replicas_make_one_call(gateways, lazy, stream):
    async def run():
        async with client() as http:
            body = {**equal("fifty"), "stream": stream}
            return await asyncio.gather(*(ask(http, gateways.urls[place % 3], body) for place in range(50)))

    answers = asyncio.run(run())
    assert lazy.counts.models == {"large": 1}
    texts, cached, ids = (set(column) for column in zip(*answers, strict=True))
    assert len(texts) == len(ids) == 1 and "says" in texts.pop() and cached == {"false", "true"}
    assert [each[1] for each in answers].count("false") == 1


def test_other_requests_and_unwilling_ones_make_calls_of_their_own(gateways, lazy):
    body, urls = equal("same"), gateways.urls

    async def run():
        async with client() as http:
            await asyncio.gather(
                ask(http, urls[0], body),
                ask(http, urls[1], equal("other")),
                ask(http, urls[2], {**body, "temperature": 1}),
                ask(http, urls[0], body, **{"x-jaxalign-cache": "off"}),
                ask(http, urls[0], body, authorization="Bearer k2"),
            )

    asyncio.run(run())
    assert lazy.counts.models["large"] == 5


def test_when_the_leader_is_killed_one_other_makes_the_call(gateways, lazy):
    body = {**equal("leader"), "model": "slow"}

    async def run():
        async with client() as http:
            urls = gateways.urls
            asking = [asyncio.ensure_future(ask(http, urls[place % 3], body)) for place in range(48)]
            while not lazy.counts.models["slow"]:
                await asyncio.sleep(0.02)
            busy = [await http.get(f"{url}/metrics") for url in urls]
            (leader,) = [n for n, found in enumerate(busy) if 'active_requests{model="slow"} 1.0' in found.text]
            gateways.end(leader)
            return leader, await asyncio.gather(*asking)

    leader, answers = asyncio.run(run())
    gateways.begin(leader)
    gateways.wait_until_ready(leader)
    assert lazy.counts.models["slow"] == 2
    assert [place % 3 for place, each in enumerate(answers) if each is None] == [leader] * 16
    assert len({text for text, _, _ in filter(None, answers)}) == 1
