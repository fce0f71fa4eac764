"""The traffic of the made world through a real server: gateway, worker, learner and store as users run them.

What comes of it is put beside what the simulation without a server says of the same world, requests and luck. The
server learns from ratings that users send, and from a judge's word on second answers and single examples; its clock is
the machine's, and versions of its policy are chosen and taken back as it decides itself.
"""

import asyncio
import pathlib
import shutil
import time
from typing import NamedTuple

import httpx
import numpy as np
from jaxtyping import Float, Int

from experiments.common.task import EstimatesFn, Row, exactly
from experiments.echolm import figures, spoken
from experiments.echolm.learner import Dials
from experiments.echolm.memory import SIZE, SIZE_SPREAD
from experiments.echolm.simulate import VOTES, Ground, Served
from experiments.echolm.spoken import EMBEDDER, JUDGE, Speakers
from experiments.echolm.world import COSTS, LARGE, MODELS, SMALL
from jaxalign import files
from jaxalign.io.serve import starting, trial
from jaxalign.io.serve.config import Embedder, Learning, Model, Routing, ServeConfig, Upstream
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.store.opening import open_store
from jaxalign.numerics import Ratio

SERVED = "through a server"
RATE = 25.0  # requests a second: all processes share the machine, and the learner asks its judge 16 times a pair
ROUND = 64  # requests between rounds of learning
AT_ONCE = 8
PATIENCE = 120.0  # seconds until the earlier answers are examples
KEY = {"authorization": "Bearer sk-made-world"}


class Answered(NamedTuple):
    """What came of N requests."""

    models: Int[np.ndarray, "N"]  # -1 for a request without an answer
    quality: Float[np.ndarray, "N"]  # the chance that the answer was good
    examples: Int[np.ndarray, "N"]
    seconds: Float[np.ndarray, "N"]


def serve(ground: Ground, dials: Dials, seed: int, directory: pathlib.Path, rate: float = RATE) -> Answered:
    """Serves the traffic through a server, unless it was; a run that was killed begins again with an empty server.

    Args:
      ground: the world and its requests.
      dials: of the policies.
      seed: of what users say.
      directory: where the server's folder is, and what came of the traffic is kept.
      rate: requests a second.
    """
    path, folder = directory / "served" / "through-http.npz", directory / "server"
    if path.exists():
        with np.load(path) as arrays:
            return Answered(**arrays)
    shutil.rmtree(folder, ignore_errors=True)
    answered = run(ground, dials, seed, folder, rate)
    with files.replaced(path) as file:
        np.savez_compressed(file, **answered._asdict())
    return answered


def run(ground: Ground, dials: Dials, seed: int, folder: pathlib.Path, rate: float = RATE) -> Answered:
    """Sends the earlier requests to the large model, whose answers become examples, and then the traffic.

    Args:
      ground: the world and its requests.
      dials: of the policies.
      seed: of what users say.
      folder: of the server, empty or not there yet.
      rate: requests a second.

    Raises:
      RuntimeError: the server does not come up, or loses examples.
    """
    with serving(Speakers(ground, seed).models()) as upstream:
        with trial.serving(settings(dials, upstream.url, folder, rate)) as server:
            return asyncio.run(_ask_all(server.urls[0], ground, dials, seed, folder, rate))


def settings(dials: Dials, url: str, folder: pathlib.Path, rate: float) -> ServeConfig:
    """Returns the server's settings, equal to those of the simulation where both have them.

    Args:
      dials: of the policies.
      url: of the simulated models.
      folder: of the server.
      rate: requests a second.
    """
    prices = dict(zip(MODELS, map(float, COSTS), strict=True))
    small, large = (MODELS[each] for each in (SMALL, LARGE))
    upstream = Upstream("here", url)
    models = (
        Model(small, "here", prompt_price=prices[small], slots=64, examples=True),
        Model(large, "here", prompt_price=prices[large], slots=64, teaches=True),
        Model(JUDGE, "here", routed=False),
    )
    share = len(spoken.request_text(9999) + "This is the answer of large to T9999, 0.9999: good.")
    size = SIZE * np.exp(SIZE_SPREAD**2 / 2)  # bytes of an example in the simulation, mean
    return ServeConfig(
        str(folder),
        port=starting.free_port(),
        upstreams=(upstream,),
        models=models,
        routing=Routing(
            deadline_seconds=2.0,  # nothing is to be decided by the machine's other work
            cost_weight=dials.cost_weight,
            load_weight=dials.load_weight,
            load_threshold=dials.load_threshold,
            half_life_seconds=dials.half_life,
            example_tokens=dials.example_tokens,
        ),
        learning=Learning(
            every_seconds=ROUND / rate,
            judge=JUDGE,
            judge_samples=VOTES // 2,  # in each order
            asked=dials.asked,
            probed=dials.probed,
            example_bytes=dials.store_bytes / size * share,
        ),
        embedder=Embedder("server", url, EMBEDDER, width=64),
    )


def table(simulated: Served, answered: Answered, estimates: EstimatesFn) -> dict[str, Row]:
    """Returns figures of the simulation, of the server, and of the server less the simulation, request by request.

    Args:
      simulated: what came of the method without a server.
      answered: what came of it through the server.
      estimates: values with intervals.
    """
    count = min(len(simulated.models), len(answered.models))
    there = answered.models[:count] >= 0
    ours = {figures.QUALITY: 100 * answered.quality[:count], figures.TO_SMALL: answered.models[:count] == SMALL}
    theirs = {figures.QUALITY: 100 * simulated.quality[:count], figures.TO_SMALL: simulated.models[:count] == SMALL}
    rows = {"simulated": theirs, SERVED: ours}
    rows["difference"] = {name: np.asarray(ours[name], float) - theirs[name] for name in ours}
    ratios = {(row, name): _ratio(values, there) for row, found in rows.items() for name, values in found.items()}
    made: dict[str, Row] = {row: {} for row in rows}
    for (row, name), value in estimates(ratios).items():
        made[row][name] = value
    low, high = np.percentile(answered.seconds[:count][there], [50, 99])
    told = {"examples": answered.examples.mean(), "without an answer": count - there.sum()}
    told |= {"p50, ms": 1e3 * low, "p99, ms": 1e3 * high}
    made[SERVED] |= {name: exactly(float(value)) for name, value in told.items()}
    return made


async def _ask_all(url: str, ground: Ground, dials: Dials, seed: int, folder: pathlib.Path, rate: float) -> Answered:
    rng = np.random.default_rng([seed, 6])
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=f"{url}/v1", headers=KEY, timeout=60, limits=limits) as client:
        earlier = range(len(ground.history.questions))
        for start in range(0, len(earlier), AT_ONCE):
            asking = (
                _ask(client, spoken.request_text(n, earlier=True), MODELS[LARGE]) for n in earlier[start:][:AT_ONCE]
            )
            await asyncio.gather(*asking)
        await _until_kept(folder, len(earlier))
        begun, asking = time.monotonic(), []
        for number in range(len(ground.traffic.questions)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            rated = float(rng.random()) < dials.rated
            luck = np.random.default_rng([seed, 7, number]) if rated else None
            asking.append(asyncio.create_task(_ask(client, spoken.request_text(number), "auto", luck)))
        found = await asyncio.gather(*asking)
    return Answered(*map(np.array, zip(*found, strict=True)))


async def _until_kept(folder: pathlib.Path, count: int) -> None:
    store = open_store("sqlite", folder)
    deadline = time.monotonic() + PATIENCE
    try:
        while (kept := store.counts()["examples"]) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"expected {count} examples after {PATIENCE:.0f} s, got {kept}")
            await asyncio.sleep(0.2)
    finally:
        store.close()


async def _ask(client: httpx.AsyncClient, text: str, model: str, rater: np.random.Generator | None = None):
    """Asks, and rates the answer if there is somebody who does; (model, chance, examples, seconds)."""
    began = time.monotonic()
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    try:
        found = await client.post("/chat/completions", json=body)
    except httpx.HTTPError:
        return -1, 0.0, 0, 0.0
    seconds = time.monotonic() - began
    said = spoken.read_answer(found.json()["choices"][0]["message"]["content"]) if found.status_code == 200 else None
    if said is None:
        return -1, 0.0, 0, seconds
    if rater is not None:
        rating = {"id": found.headers["x-jaxalign-id"], "score": spoken.told(said, rater)}
        await client.post("/feedback", json=rating)
    return MODELS.index(said.model), said.chance, int(found.headers["x-jaxalign-examples"]), seconds


def _ratio(values: np.ndarray, where: np.ndarray) -> Ratio:
    return Ratio(np.asarray(values * where, np.float32), np.asarray(where, np.float32))
