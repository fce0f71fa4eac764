"""What the gateway adds to a request: latency beside the upstream alone, its event loop, its memory, its throughput.

    python -m tools.benchmarks.gateway                      # 50 requests a second, in turns with the upstream alone
    python -m tools.benchmarks.gateway --requests 100000 --rate 400   # memory over many requests
    python -m tools.benchmarks.gateway --peer litellm=http://127.0.0.1:4000/v1   # another proxy, in turns too

Requests come at even intervals whatever the answers do (an open loop), a hundred by one way, then by the next; the
upstream is simulated and answers at once. The load, the upstream and the gateway are processes of their own on this
machine.
"""

import asyncio
import contextlib
import pathlib
import re
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import numpy as np
import tyro

from jaxalign.io import edge
from jaxalign.io.serve import starting, trial
from jaxalign.io.serve.config import Model, ServeConfig, Upstream
from tools.benchmarks.measure import Table, describe_machine

BLOCK = 100  # requests of one way, then of the next
WARM_UP = 2 * BLOCK  # requests that are not counted
CROWD, CROWD_SECONDS = 16, 5.0  # clients that ask again as soon as they are answered; half the time, twice
HEADERS = {"authorization": "Bearer sk-benchmark"}
TOPICS = "sorting", "monads", "bread", "taxes", "comets", "verbs", "knots", "chess"


class Way(NamedTuple):
    """A way to the upstream."""

    name: str
    url: str
    model: str


class Taken(NamedTuple):
    """What requests of one way took."""

    seconds: np.ndarray
    failed: int
    throughput: float  # requests a second, with CROWD at once


def main(
    requests: int = 3000,
    rate: float = 50.0,
    stream: bool = False,
    folder: str = "",
    upstream_port: int = 0,
    peer: tuple[str, ...] = (),
) -> None:
    """Measure, and print a table in Markdown.

    Args:
        requests: of each way.
        rate: requests a second.
        stream: ask for streams.
        folder: for the gateway's store; by default one that is deleted afterwards.
        upstream_port: where the simulated upstream listens, for peers to know; 0 for any port.
        peer: further ways, NAME=URL, to a model of the name null at URL.
    """
    edge.check_least(1, requests=requests)
    edge.check_least(0.001, rate=rate)
    print(describe_machine(), flush=True)
    with contextlib.ExitStack() as stack:
        place = folder or stack.enter_context(tempfile.TemporaryDirectory())
        ways, gateway = stack.enter_context(_served(place, upstream_port))
        ways += [Way(name, url, "null") for name, _, url in (each.partition("=") for each in peer)]
        before = _watch(gateway)
        taken = asyncio.run(_ask_all(ways, requests, rate, stream))
        for line in _table(ways, taken, rate, before, _watch(gateway)).lines():
            print(line, flush=True)


class Watched(NamedTuple):
    """What a gateway says of itself."""

    lag: dict[float, float]  # of the event loop: how often it was at most so late, in seconds
    resident: float  # MiB
    decisions: float


@contextlib.contextmanager
def _served(folder: str, upstream_port: int = 0) -> Iterator[tuple[list[Way], "Gateway"]]:
    """A simulated upstream, and a whole server before it."""
    upstream, port = upstream_port or starting.free_port(), starting.free_port()
    url = f"http://127.0.0.1:{upstream}/v1"
    models = (
        Model("null", "here", "null", examples=True),
        Model("large", "here", "null", prompt_price=1.0, teaches=True),
    )
    config = ServeConfig(folder, port=port, upstreams=(Upstream("here", url),), models=models)
    with trial.begin(["-m", "jaxalign.io.serve.simulated", "--port", str(upstream), "--model", "null"]) as simulated:
        try:
            with trial.serving(config) as server:
                base = f"{server.urls[0]}/v1"
                yield (
                    [
                        Way("no proxy", url, "null"),
                        Way("gateway, model named", base, "null"),
                        Way("gateway, routed with examples", base, "auto"),
                    ],
                    Gateway(server.urls[0], server.processes["gateway 0"].pid),
                )
        finally:
            simulated.terminate()


class Gateway(NamedTuple):
    """A gateway process."""

    url: str
    pid: int


def _watch(gateway: Gateway) -> Watched:
    text = httpx.get(f"{gateway.url}/metrics").text
    lag = {float(most): float(n) for most, n in re.findall(r'loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', text)}
    (decisions,) = re.findall(r"jaxalign_decision_seconds_count (\S+)", text)
    status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text(encoding="utf-8")
    return Watched(lag, int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024, float(decisions))


async def _ask_all(ways: list[Way], requests: int, rate: float, stream: bool) -> dict[str, Taken]:
    taken, failed = {way.name: [] for way in ways}, dict.fromkeys((way.name for way in ways), 0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(headers=HEADERS, timeout=30, limits=limits) as client:
        for start in range(-WARM_UP, requests, BLOCK):
            for way in ways:
                numbers = range(start, min(start + BLOCK, requests))
                for seconds in await _ask_block(client, way, numbers, rate, stream):
                    if start >= 0 and seconds is None:
                        failed[way.name] += 1
                    elif start >= 0:
                        taken[way.name].append(seconds)
        answered = dict.fromkeys(taken, 0)
        for _ in range(2):
            for way in ways:
                answered[way.name] += await _crowd(client, way, stream)
    return {name: Taken(np.array(taken[name]), failed[name], answered[name] / (2 * CROWD_SECONDS)) for name in taken}


async def _crowd(client: httpx.AsyncClient, way: Way, stream: bool) -> int:
    """How many answers a crowd of clients gets in some seconds."""
    until, answered = time.perf_counter() + CROWD_SECONDS, 0

    async def ask_on(number: int) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            with contextlib.suppress(httpx.HTTPError):
                found = await client.post(f"{way.url}/chat/completions", json=_body(way, number, stream))
                answered += found.is_success and time.perf_counter() < until
            number += CROWD

    await asyncio.gather(*map(ask_on, range(CROWD)))
    return answered


async def _ask_block(client: httpx.AsyncClient, way: Way, numbers: range, rate: float, stream: bool) -> list:
    """Seconds of each request, which come at even intervals; None for one that failed."""

    async def ask(number: int) -> float | None:
        began = time.perf_counter()
        try:
            found = await client.post(f"{way.url}/chat/completions", json=_body(way, number, stream))
            found.raise_for_status()
        except httpx.HTTPError:
            return None
        return time.perf_counter() - began

    started, asking = time.perf_counter(), []
    for place, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, started + place / rate - time.perf_counter()))
        asking.append(asyncio.create_task(ask(number)))
    return await asyncio.gather(*asking)


def _body(way: Way, number: int, stream: bool) -> dict:
    text = f"Please explain {TOPICS[number % len(TOPICS)]} to me in the way number {number} of many, and be brief."
    return {"model": way.model, "messages": [{"role": "user", "content": text}], "stream": stream}


def _table(ways, taken: dict[str, Taken], rate: float, before: Watched, after: Watched) -> Table:
    def row(way: Way) -> list[str]:
        seconds, direct = taken[way.name].seconds, taken[ways[0].name].seconds
        quantiles = [1e3 * np.quantile(seconds, q) for q in (0.5, 0.99)]
        added = [each - 1e3 * np.quantile(direct, q) for each, q in zip(quantiles, (0.5, 0.99), strict=True)]
        numbers = [f"{each:.1f}" for each in (*quantiles, *added)]
        return [way.name, str(len(seconds)), str(taken[way.name].failed), *numbers, f"{taken[way.name].throughput:.0f}"]

    late = {most: after.lag[most] - before.lag.get(most, 0) for most in after.lag}
    looks = late[np.inf]
    notes = (
        f"{rate:g} requests a second, {BLOCK} of each way in turns. The gateway's event loop was looked at {looks:.0f}",
        f"times, and was over 20 ms late {looks - late[0.02]:.0f} times, over 50 ms {looks - late[0.05]:.0f} times.",
        f"Resident memory {before.resident:.0f} MiB before, {after.resident:.0f} MiB after; the worker decided",
        f"{after.decisions - before.decisions:.0f} requests.",
    )
    header = ("way", "requests", "failed", "p50 ms", "p99 ms", "p50 added", "p99 added", f"requests/s, {CROWD} at once")
    return Table("gateway", notes, header, map(row, ways))


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"python -m {__spec__.name}", description=__doc__)
