"""The routes besides chats: feedback, deletion, embeddings, health and metrics."""

import base64
import json
import re
import struct

import httpx
import openai
import pytest

ANSWER = {"model": "large", "messages": [{"role": "user", "content": "one two"}]}


def test_feedback_is_kept_with_its_tenant(here):
    for body in ({"id": "ix-7", "score": 1}, {"id": "ix-7", "score": 0.25, "over": "small"}):
        found = here.http.post("/feedback", json=body)
        assert found.status_code == 200 and found.json() == {"id": "ix-7", "kept": True}
    assert here.store.counts()["feedback"] == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"score": 1}, "x-jaxalign-id"),
        ({"id": "ix-7"}, "score"),
        ({"id": "ix-7\0", "score": 1}, "x-jaxalign-id"),
        ({"id": "ix-7", "score": 2}, "from 0"),
        ({"id": "ix-7", "score": True}, "from 0"),
        ({"id": "ix-7", "score": 1, "comment": "thanks"}, r"\['comment'\]"),
        ({"id": "ix-7", "score": 1, "over": 3}, "over"),
    ],
)
def test_feedback_of_another_form_is_refused(here, body, says):
    found = here.http.post("/feedback", json=body)
    assert found.status_code == 400 and re.search(says, found.json()["error"]["message"])


@pytest.mark.parametrize(("method", "path"), [("POST", "/feedback"), ("DELETE", "/users/ann"), ("POST", "/embeddings")])
def test_nobody_may_say_delete_or_embed(here, method, path):
    found = httpx.request(method, here.url + path, json={"id": "ix-7", "score": 1, "model": "embedder", "input": "a"})
    assert found.status_code == 401


def test_nobody_is_answered_and_shown_nothing(here):
    found = httpx.post(f"{here.url}/chat/completions", json={**ANSWER, "model": "auto"})
    assert found.status_code == 200
    asked = here.worker.asked[-1]
    assert (asked["tenant"], asked["examples"], asked["learn"]) == (None, False, False)


def test_wishes_reach_the_worker(here):
    body = {**ANSWER, "model": "auto"}
    here.http.post("/chat/completions", json=body, headers={"x-jaxalign-learn": "off", "x-jaxalign-examples": "off"})
    asked = here.worker.asked[-1]
    assert (asked["examples"], asked["learn"], asked["route"]) == (False, False, True)
    here.http.post("/chat/completions", json=body, headers={"x-jaxalign-route": "off"})
    asked = here.worker.asked[-1]
    assert (asked["models"], asked["route"]) == (["large"], False)


def test_what_is_not_learnt_from_is_not_told(here):
    before = len(here.worker.told)
    found = here.http.post("/chat/completions", json={**ANSWER, "model": "auto"}, headers={"x-jaxalign-learn": "off"})
    later = here.http.post("/chat/completions", json={**ANSWER, "model": "auto"})
    here.worker.answered(later.headers["x-jaxalign-id"])
    told = [each["interaction"] for each in here.worker.told[before:]]
    assert found.headers["x-jaxalign-id"] not in told and later.headers["x-jaxalign-id"] in told


def test_deletion_says_how_much_there_was(here):
    who = here.store.identify(here.store.tenants()[1], "ann", "")
    assert who.tenant == 1
    found = here.http.delete("/users/ann")
    assert found.status_code == 200
    assert found.json() == {"deleted": {"examples": 0, "interactions": 0, "feedback": 0, "answers": 0}}


@pytest.mark.parametrize("user", ["%00", "a%7Fb"])
def test_a_user_whom_no_store_could_name_is_refused(here, user):
    assert here.http.delete(f"/users/{user}").status_code == 400
    body = {**ANSWER, "user": "\ud800"}
    assert here.http.post("/chat/completions", content=json.dumps(body)).status_code == 400


def test_embeddings_are_the_workers_in_either_encoding(here, monkeypatch):
    vectors = [[1.0, 0.5], [0.0, 2.0]]
    monkeypatch.setattr(here.worker, "other", {"vectors": vectors})
    with openai.OpenAI(base_url=here.url, api_key="k1", max_retries=0) as client:  # which asks for base64
        found = client.embeddings.create(model="embedder", input=["a", "b"])
    assert [each.embedding for each in found.data] == vectors
    whole = here.http.post("/embeddings", json={"model": "embedder", "input": "a", "encoding_format": "base64"}).json()
    assert struct.unpack("<2f", base64.b64decode(whole["data"][0]["embedding"])) == (1.0, 0.5)


def test_health_and_metrics(here):
    base = here.url.removesuffix("/v1")
    assert httpx.get(f"{base}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{base}/readyz").json() == {"ready": True, "store": "ok", "worker": "ok"}
    here.http.post("/chat/completions", json=ANSWER)
    text = httpx.get(f"{base}/metrics").text
    assert 'jaxalign_requests_total{model="large",outcome="answered"}' in text
    assert "jaxalign_loop_lag_seconds_count" in text and "jaxalign_worker_connected 1.0" in text
