"""Whatever fails, the request has its upstream's answer; what is acknowledged is kept."""

import contextlib
import subprocess
import sys
import time

import httpx
import pytest

from jaxalign.io.serve.gateway import storage
from tests.io.serve.gateway import conftest
from tests.io.serve.gateway.scripted import ScriptedWorker
from tests.io.serve.gateway.stores import BrokenStore

BODY = {"model": "auto", "messages": [{"role": "user", "content": "one two"}]}
SMALL = {"model": "small", "examples": [], "tenants": [1], "policy": "p1"}


def ask(here, **fields):
    return here.http.post("/chat/completions", json={**BODY, **fields})


@contextlib.contextmanager
def gateway(upstream, folder, store, worker="none.sock", **changes):
    with conftest.serving_gateway(conftest.settings(upstream, folder, **changes), store, folder / worker) as url:
        with httpx.Client(base_url=url, headers={"authorization": "Bearer k1"}) as http:
            yield http


def test_without_a_worker_and_a_store_requests_go_straight_to_the_fallback(upstream, tmp_path):
    with gateway(upstream, tmp_path, BrokenStore()) as http:
        found = http.post("/chat/completions", json={**BODY, "temperature": 0})
        assert found.json()["choices"][0]["message"]["content"] == "large says one two"
        assert found.headers["x-jaxalign-reason"] == "no worker"
        ready = http.get("/../readyz")
        assert ready.status_code == 200 and "gone" in ready.json()["store"] and "gone" in ready.json()["worker"]
        for method, path, body in (("POST", "/feedback", {"id": "ix-1", "score": 1}), ("DELETE", "/users/ann", None)):
            refused = http.request(method, path, json=body)
            assert refused.status_code == 503 and "disk full" in refused.text and "retry-after" in refused.headers


def test_a_slow_worker_costs_the_deadline_at_most(here):
    here.worker.seconds = 60.0
    found = ask(here)
    assert found.status_code == 200 and found.headers["x-jaxalign-reason"] == "deadline"


@pytest.mark.parametrize("reply", [{"error": "index missing"}, {"model": "of other settings"}, {}])
def test_a_worker_that_reports_an_error_or_knows_other_models_is_passed_over(here, reply):
    here.worker.reply = lambda message: reply
    found = ask(here)
    assert found.status_code == 200 and found.headers["x-jaxalign-reason"] == "worker error"


def test_a_worker_that_dies_and_comes_back_is_found_again(upstream, tmp_path):
    worker = ScriptedWorker(tmp_path / "w.sock")
    worker.reply = lambda message: SMALL
    with gateway(upstream, tmp_path, BrokenStore(), "w.sock") as http:
        for _ in range(2):
            with worker.running():
                while (found := http.post("/chat/completions", json=BODY)).headers.get("x-jaxalign-reason"):
                    time.sleep(0.05)
                assert found.headers["x-jaxalign-model"] == "small"
            assert http.post("/chat/completions", json=BODY).headers["x-jaxalign-reason"] == "no worker"


def test_texts_that_the_store_does_not_give_are_left_out_and_said(here, monkeypatch):
    here.worker.reply = lambda message: {**SMALL, "examples": [3, 4]}
    found = ask(here)
    assert (
        found.headers["x-jaxalign-reason"] == "examples deleted meanwhile"
        and found.headers["x-jaxalign-examples"] == "0"
    )
    assert found.json()["choices"][0]["message"]["content"] == "small says one two"

    def hangs(tenants, ids):
        time.sleep(0.5)
        return {}

    monkeypatch.setattr(here.store, "texts", hangs)
    assert ask(here).headers["x-jaxalign-reason"] == "no store"
    assert ask(here).headers["x-jaxalign-reason"] == "no store"  # at once: it failed a moment ago
    monkeypatch.undo()
    time.sleep(storage.REST_SECONDS)
    assert ask(here).headers["x-jaxalign-reason"] == "examples deleted meanwhile"


@pytest.mark.parametrize("fault", ["status=503", "status=429", "drop", "garbage"])
def test_when_the_chosen_model_fails_the_fallback_answers_without_examples(here, fault):
    here.worker.reply = lambda message: SMALL
    here.upstream.faults.append(fault)
    found = ask(here)
    assert found.headers["x-jaxalign-model"] == "large"
    assert found.json()["choices"][0]["message"]["content"] == "large says one two"
    assert here.worker.answered(found.headers["x-jaxalign-id"])["model"] == "large"


def test_an_upstream_that_cannot_be_reached_is_a_502_with_its_name(here):
    found = ask(here, model="dead")
    assert found.status_code == 502 and "nowhere" in found.json()["error"]["message"]


def test_a_gateway_process_has_no_jax():
    code = (
        "import sys; import jaxalign.io.serve.gateway.__main__, jaxalign.io.serve.store.opening; "
        "print([name for name in ('jax', 'flax', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
