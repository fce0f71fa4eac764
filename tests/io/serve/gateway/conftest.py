"""A gateway between real clients and simulated upstreams, with a store of its own and a worker that does as told."""

import contextlib
import dataclasses
import pathlib
import tempfile
import threading
import types

import httpx
import pytest

from jaxalign.io.serve.config import Limits, Model, Routing, ServeConfig, Upstream
from jaxalign.io.serve.gateway.server import make_server
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.upstream import running
from tests.io.serve.gateway.scripted import ScriptedWorker


def echo(messages, body):
    return f"{body['model']} says {messages[-1]['content']}"


@pytest.fixture(scope="module")
def upstream():
    models = [SimulatedModel("small", answer=echo), SimulatedModel("large", answer=echo, tools=True)]
    with serving([*models, SimulatedModel("long", answer=lambda *_: "word " * 100_000)]) as found:
        yield found


def settings(upstream, folder, **changes):
    """Settings of a gateway on any free port."""
    models = (
        Model("small", "here", prompt_price=0.5, answer_price=0.5, examples=True, tools=False),
        Model("large", "here", prompt_price=5.0, answer_price=5.0, teaches=True),
        Model("long", "here"),
        Model("dead", "nowhere"),
    )
    upstreams = Upstream("here", upstream.url), Upstream("nowhere", "http://127.0.0.1:9/v1", connect_seconds=1.0)
    limits, routing = Limits(), Routing(deadline_seconds=0.5, flight_seconds=1.0)
    base = ServeConfig(folder=str(folder), port=0, upstreams=upstreams, models=models, limits=limits, routing=routing)
    return dataclasses.replace(base, **changes)


@contextlib.contextmanager
def serving_gateway(config, store, socket):
    """Gives the URL, up to and with /v1, of a gateway in a thread of this process."""
    server = make_server(config, store, str(socket))
    with contextlib.closing(running.bind()) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield running.url_of(listening)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def here(upstream):
    """One gateway for the tests of a file: its URL, worker, store and upstream."""
    with tempfile.TemporaryDirectory() as folder:
        worker = ScriptedWorker(pathlib.Path(folder) / "w.sock")
        store = open_store("sqlite", folder)
        with worker.running(), serving_gateway(settings(upstream, folder), store, worker.path) as url:
            with httpx.Client(base_url=url, headers={"authorization": "Bearer k1"}) as http:
                yield types.SimpleNamespace(url=url, worker=worker, store=store, upstream=upstream, http=http)


@pytest.fixture(autouse=True)
def fresh(upstream, request):
    upstream.counts.clear()
    upstream.faults.clear()
    if "here" in request.fixturenames:
        found = request.getfixturevalue("here")
        default = ScriptedWorker("")
        found.worker.reply, found.worker.seconds = default.reply, 0.0
