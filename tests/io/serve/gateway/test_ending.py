"""How a gateway begins, what it does while its store hangs, and how it ends."""

import asyncio
import contextlib
import sys
import threading

import httpx
import pytest

from jaxalign.io.serve.config import Limits
from jaxalign.io.serve.gateway import __main__ as program
from jaxalign.io.serve.gateway import app, storage
from jaxalign.io.serve.gateway.server import make_server
from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.upstream import running
from tests.io.serve.gateway import conftest
from tests.io.serve.gateway.stores import HangingStore

HELLO = {"model": "large", "messages": [{"role": "user", "content": "hello"}]}


def test_a_gateway_that_is_told_to_end_is_not_ready_and_still_answers_for_a_while(upstream, tmp_path):
    config = conftest.settings(upstream, tmp_path, limits=Limits(drain_seconds=600.0))
    server = make_server(config, open_store("sqlite", tmp_path), str(tmp_path / "none.sock"))
    with contextlib.closing(running.bind()) as listening:
        url = running.url_of(listening)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            with httpx.Client(base_url=url, headers={"authorization": "Bearer k1"}) as http:
                before = http.get("/../readyz")
                assert before.status_code == 200 and "connection" not in before.headers
                server.should_exit = True
                while http.get("/../readyz").status_code == 200:
                    pass
                assert http.get("/../readyz").json()["ready"] is False
                assert http.get("/../healthz").status_code == 200
                answered = http.post("/chat/completions", json=HELLO)
                assert answered.status_code == 200 and answered.headers["connection"] == "close"
            server.drain_until = 0.0
        finally:
            server.should_exit, server.drain_until = True, 0.0
            thread.join()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/models")


def test_a_store_that_hangs_holds_up_nobody(upstream, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "FEEDBACK_SECONDS", 0.05)
    monkeypatch.setattr(app, "READY_SECONDS", 0.05)
    store = HangingStore()
    with conftest.serving_gateway(conftest.settings(upstream, tmp_path), store, tmp_path / "none.sock") as url:
        with httpx.Client(base_url=url, headers={"authorization": "Bearer k1"}) as http:
            for _ in range(3):
                ready = http.get("/../readyz")
                assert ready.status_code == 200 and ready.json()["store"].startswith("gone")
            assert store.called == ["born"]
            assert http.post("/chat/completions", json={**HELLO, "temperature": 0}).status_code == 200
            told = http.post("/feedback", json={"id": "ix-1", "score": 1})
            assert told.status_code == 503 and "no reply in 0.05 s" in told.text and "retry-after" in told.headers
        store.go.set()


def test_a_store_that_hangs_does_not_keep_a_gateway_from_ending(monkeypatch):
    monkeypatch.setattr(storage, "CLOSE_SECONDS", 0.05)
    store = HangingStore()

    async def run():
        calls = StoreCalls(store)
        hanging = asyncio.ensure_future(calls.patient(store.add_feedback, []))
        await asyncio.to_thread(store.entered.wait)
        calls.close()
        assert not hanging.done()
        store.go.set()
        with pytest.raises(StoreError):
            await hanging

    asyncio.run(run())


def begin(monkeypatch, tmp_path, store):
    """Runs the program with a server that does nothing; what it was made of."""
    path = tmp_path / "serve.toml"
    path.write_text(
        f'store = "{store}"\nfolder = "{tmp_path}"\n[[upstreams]]\nname = "u"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[[models]]\nname = "m"\nupstream = "u"\n'
    )
    made = []

    class Server:
        def __init__(self, *told):
            made.append(told)

        def run(self):
            made.append("ran")

    monkeypatch.setattr(program, "make_server", Server)
    monkeypatch.setattr(sys, "argv", ["gateway", "--config", str(path), "--socket", "w.sock", "--port", "7"])
    program.main()
    (config, store, socket), ran = made
    assert (config.port, socket, ran) == (7, "w.sock", "ran")
    return store


def test_a_gateway_begins_while_its_store_is_away_and_says_so(monkeypatch, tmp_path, capfd):
    store = begin(monkeypatch, tmp_path, f"postgresql://u@/d?host={tmp_path}")
    assert "begins without a store" in capfd.readouterr().err
    with pytest.raises(StoreError):
        store.born()
    store.close()


def test_a_gateway_with_its_store_says_nothing_and_one_with_a_wrong_name_ends(monkeypatch, tmp_path, capfd):
    store = begin(monkeypatch, tmp_path, "sqlite")
    assert store.born() > 0 and capfd.readouterr() == ("", "")
    store.close()
    with pytest.raises(ValueError, match="expected sqlite or postgresql"):
        begin(monkeypatch, tmp_path, "mysql://u@h/d")
