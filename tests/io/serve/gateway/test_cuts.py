"""Answers that are cut, by the upstream or by the client, at any event: an error for the client, nothing to learn."""

import json

import httpx
import openai
import pytest

BODY = {"model": "large", "messages": [{"role": "user", "content": "one two three"}], "stream": True}
EVENTS = 8  # role, five words, the finish, [DONE]


def events(content):
    return [each + b"\n\n" for each in content.split(b"\n\n") if each]


@pytest.fixture(scope="module")
def whole(here):
    found = events(here.http.post("/chat/completions", json=BODY).content)
    assert len(found) == EVENTS and found[-1] == b"data: [DONE]\n\n"
    return found


def test_a_complete_stream_is_told_to_the_worker(here):
    found = here.http.post("/chat/completions", json=BODY)
    told = here.worker.answered(found.headers["x-jaxalign-id"])
    assert (told["text"], told["finish"], told["model"]) == ("large says one two three", "stop", "large")


@pytest.mark.parametrize("cut", range(1, EVENTS))
def test_an_upstream_that_is_cut_at_any_event_ends_in_an_error_and_is_not_learnt_from(here, whole, cut):
    here.upstream.faults.append(f"cut={cut}")
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), here.http.stream("POST", "/chat/completions", json=BODY) as response:
        for part in response.iter_raw():
            received += part
    *came, error = events(received.replace(b"\n\n\n\n", b"\n\n"))
    assert came == whole[:cut] and "was cut" in json.loads(error.removeprefix(b"data: "))["error"]["message"]
    told = here.worker.answered(response.headers["x-jaxalign-id"])
    assert told["text"] is None and told["finish"] is None


def test_the_official_client_raises_where_a_stream_is_cut(here):
    here.upstream.faults.append("cut=3")
    with openai.OpenAI(base_url=here.url, api_key="k1", max_retries=0) as client:
        with pytest.raises(openai.APIError, match="was cut"):
            for _ in client.chat.completions.create(**BODY):
                pass


@pytest.mark.parametrize("fault", ["cut=5", "garbage", "drop"])
def test_a_whole_answer_that_is_cut_or_no_answer_is_a_502(here, fault):
    here.upstream.faults.append(fault)
    found = here.http.post("/chat/completions", json={**BODY, "stream": False})
    assert found.status_code == 502 and found.json()["error"]["type"] == "upstream_error"


def test_an_error_that_the_upstream_tells_inside_a_stream_comes_through_and_is_not_learnt_from(here):
    direct = httpx.post(f"{here.upstream.url}/chat/completions", json=BODY, headers={"x-fault": "error_event=2"})
    here.upstream.faults.append("error_event=2")
    found = here.http.post("/chat/completions", json=BODY)
    assert found.content == direct.content
    assert here.worker.answered(found.headers["x-jaxalign-id"])["text"] is None


def test_garbage_inside_a_stream_ends_in_an_error(here):
    here.upstream.faults.append("garbage=2")
    with pytest.raises(httpx.RemoteProtocolError), here.http.stream("POST", "/chat/completions", json=BODY) as response:
        response.read()
    assert here.worker.answered(response.headers["x-jaxalign-id"])["text"] is None


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_client_that_leaves_at_any_event_ends_the_upstreams_work_and_nothing_is_learnt(here, taken):
    here.upstream.faults.append("slow=0.05")
    with here.http.stream("POST", "/chat/completions", json=BODY) as response:
        parts = response.iter_raw()
        for _ in range(taken):
            next(parts)
    assert here.worker.answered(response.headers["x-jaxalign-id"])["text"] is None
    assert here.upstream.counts.as_json()["unfinished"] == 1


def test_a_client_that_leaves_before_the_first_byte_ends_the_upstreams_work(here):
    here.upstream.faults.append("stall=30")
    with pytest.raises(httpx.ReadTimeout):
        here.http.post("/chat/completions", json=BODY, timeout=0.2)
    told = here.worker.answered(here.worker.asked[-1]["interaction"])
    assert told["text"] is None
