"""Equal requests at once make one upstream call, over three processes; after the leader's death at most one more."""

import asyncio
import contextlib
import dataclasses
import subprocess
import sys
import time

import httpx
import pytest
import tomli_w

from jaxalign.io.serve import starting
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from jaxalign.io.serve.upstream import running
from tests.io.serve.gateway import conftest
from tests.io.serve.gateway.conftest import echo

EQUAL = {"model": "large", "messages": [{"role": "user", "content": "one two"}], "temperature": 0}
KEY = {"authorization": "Bearer k1"}


@pytest.fixture(scope="module")
def lazy():
    with serving([SimulatedModel("large", latency=1.0, answer=echo)]) as found:
        yield found


@pytest.fixture
def replicas(lazy, tmp_path):
    """Three gateway processes on one store: URL and process of each."""
    lazy.counts.clear()
    config = conftest.settings(lazy, tmp_path)
    config = dataclasses.replace(config, models=tuple(each for each in config.models if each.name == "large"))
    path = tmp_path / "serve.toml"
    path.write_bytes(tomli_w.dumps(starting.plain(dataclasses.asdict(config))).encode())
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(3):
            with contextlib.closing(running.bind()) as found:
                ports.append(found.getsockname()[1])
        begun = [sys.executable, "-m", "jaxalign.io.serve.gateway", "--config", str(path), "--socket", "none", "--port"]
        processes = [stack.enter_context(subprocess.Popen([*begun, str(port)])) for port in ports]
        stack.callback(lambda: [each.kill() for each in processes])
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url in urls:
            _wait_until_ready(url)
        yield list(zip(urls, processes, strict=True))


def _wait_until_ready(url):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"{url} is not ready")


async def ask(client, url, **fields):
    """The answer's text, and whether it was another's; None where the gateway died."""
    try:
        found = await client.post(f"{url}/v1/chat/completions", json={**EQUAL, **fields})
    except httpx.TransportError:
        return None
    return found.text, found.headers["x-jaxalign-cached"], found.headers["x-jaxalign-id"]


async def ask_all(urls, count, **fields):
    async with httpx.AsyncClient(headers=KEY, timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        return await asyncio.gather(*(ask(client, urls[place % len(urls)], **fields) for place in range(count)))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fifty_equal_misses_over_three_replicas_make_one_call(replicas, lazy, stream):
    answers = asyncio.run(ask_all([url for url, _ in replicas], 50, stream=stream))
    assert lazy.counts.models == {"large": 1}
    texts, cached, ids = (set(column) for column in zip(*answers, strict=True))
    assert len(texts) == len(ids) == 1 and "says" in texts.pop() and cached == {"false", "true"}
    assert [each[1] for each in answers].count("false") == 1


def test_when_the_leader_is_killed_one_other_makes_the_call(replicas, lazy):
    urls = [url for url, _ in replicas]

    async def run():
        async with httpx.AsyncClient(headers=KEY, timeout=30, limits=httpx.Limits(max_connections=None)) as client:
            asking = [asyncio.ensure_future(ask(client, urls[place % 3])) for place in range(48)]
            while not lazy.counts.models["large"]:
                await asyncio.sleep(0.02)
            busy = [await client.get(f"{url}/metrics") for url in urls]
            (leader,) = [n for n, found in enumerate(busy) if 'active_requests{model="large"} 1.0' in found.text]
            replicas[leader][1].kill()
            return leader, await asyncio.gather(*asking)

    leader, answers = asyncio.run(run())
    assert lazy.counts.models["large"] == 2
    assert [place % 3 for place, each in enumerate(answers) if each is None] == [leader] * 16
    assert len({text for text, _, _ in filter(None, answers)}) == 1


def test_other_requests_and_unwilling_ones_make_calls_of_their_own(replicas, lazy):
    urls = [url for url, _ in replicas]

    async def run():
        async with httpx.AsyncClient(headers=KEY, timeout=30) as client:
            other = {"messages": [{"role": "user", "content": "three"}]}
            await asyncio.gather(
                ask(client, urls[0]), ask(client, urls[1], **other), ask(client, urls[2], temperature=1)
            )
            refuses = {**KEY, "x-jaxalign-cache": "off"}
            await client.post(f"{urls[0]}/v1/chat/completions", json=EQUAL, headers=refuses)
            another = {"authorization": "Bearer k2"}
            await client.post(f"{urls[0]}/v1/chat/completions", json=EQUAL, headers=another)

    asyncio.run(run())
    assert lazy.counts.models["large"] == 5
