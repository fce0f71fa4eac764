import asyncio
import time
import types

import pytest
from starlette.applications import Starlette

from jaxalign.io.serve.admin import pages
from jaxalign.io.serve.config import Model, ServeConfig, Upstream
from tests.io.serve.admin.fake_store import KEY, NOW, FakeStore

CONFIG = ServeConfig(
    upstreams=(Upstream("up", "http://127.0.0.1:1/v1"),),
    models=(Model("small", "up", answer_price=1.0), Model("large", "up", prompt_price=2.0, answer_price=8.0)),
)


@pytest.fixture
def site(monkeypatch):
    """The application with its store, at a time that stands still, and what its worker says."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    monkeypatch.setenv("JAXALIGN_ADMIN_KEY", KEY)
    return make_site()


def make_site(store=None):
    site = types.SimpleNamespace(store=store or FakeStore(), status={"policy": "p2", "dropped": {"late": 3}}, flushes=0)

    async def call_store(method, *args, **named):
        return await asyncio.to_thread(method, *args, **named)

    async def worker_status():
        if isinstance(site.status, Exception):
            raise site.status
        return site.status

    async def flush():
        site.flushes += 1

    site.app = Starlette(routes=pages.admin_routes(site.store, call_store, CONFIG, worker_status, flush=flush))
    return site
