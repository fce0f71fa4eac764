"""Files know their servers: one model's name on two servers is two models, and old files lose nothing."""

import json

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.protocol import request_key
from tests.io.llm import chat_server
from tests.io.llm.chat_server import completion
from tests.io.llm.test_llm import requests


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def other():
    """A second server, with another model of the same name."""
    with chat_server.serving() as server:
        server.chat = lambda body: completion({"messages": [{"content": "other"}]})
        yield server


def ask(url, path, count=2, **fields):
    client = llm.Client(url, "tiny", max_retries=0, **fields)
    return llm.complete(client, requests(count), cache=llm.Cache(path), show=False)


def texts(answers):
    return [answer.text for answer in answers]


def forget_servers(path):
    """The file as earlier versions wrote it."""
    rows = map(json.loads, path.read_text().splitlines())
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "server"}) + "\n" for row in rows))


def test_two_servers_are_two_models(server, other, path, capsys):
    assert texts(ask(server.url, path).answers) == ["QUESTION 0", "QUESTION 1"]
    assert capsys.readouterr().err == ""
    second = ask(other.url, path)
    assert texts(second.answers) == ["OTHER", "OTHER"] and second.cached.requests == 0
    said = f"has answers of 'tiny' by {server.url}. They are not taken for those of {other.url}, which is asked anew"
    assert said in capsys.readouterr().err
    for url, expected in ((server.url, "QUESTION 0"), (other.url, "OTHER")):
        assert ask(url, path).paid.requests == 0
        assert texts(llm.replay("tiny", requests(1), cache=llm.Cache(path), server=url)) == [expected]
        assert not llm.missing("tiny", requests(2), cache=llm.Cache(path), server=url)
    assert (len(server.bodies), len(other.bodies)) == (2, 2)


def test_a_replay_of_several_servers_needs_a_name(server, other, path):
    ask(server.url, path)
    for named in ("", server.url, "http://elsewhere/v1"):  # of one server there is nothing to choose
        assert texts(llm.replay("tiny", requests(1), cache=llm.Cache(path), server=named)) == ["QUESTION 0"]
    ask(other.url, path)
    for named in ("", "http://elsewhere/v1"):
        with pytest.raises(ValueError, match="has answers of 'tiny' by http://127.*, http://127.*; name one of them"):
            llm.replay("tiny", requests(1), cache=llm.Cache(path), server=named)
    with pytest.raises(ValueError, match="name one of them"):
        llm.service.replaying("tiny", llm.Cache(path))


def test_a_server_that_moved_keeps_its_answers(server, other, path, capsys):
    ask(server.url, path)
    moved = ask(other.url, path, 3, known_as=f"{server.url}/")
    assert texts(moved.answers) == ["QUESTION 0", "QUESTION 1", "OTHER"] and len(other.bodies) == 1
    assert ask(server.url, path, 3).paid.requests == 0 and capsys.readouterr().err == ""
    assert llm.Cache(path).servers("tiny") == {server.url}


@pytest.mark.parametrize("form", ["{}/", "{}/chat/completions", " {} "])
def test_forms_of_one_url_are_one_server(server, path, form):
    ask(server.url, path)
    assert ask(form.format(server.url), path).paid.requests == 0 and len(server.bodies) == 2


def test_a_file_of_an_earlier_version_is_taken_and_told(server, path, capsys):
    ask(server.url, path)
    forget_servers(path)
    assert texts(llm.replay("tiny", requests(2), cache=llm.Cache(path))) == ["QUESTION 0", "QUESTION 1"]
    assert not llm.missing("tiny", requests(2), cache=llm.Cache(path))
    assert texts(ask(server.url, path, 3).answers) == ["QUESTION 0", "QUESTION 1", "QUESTION 2"]
    assert "does not say which server gave its answers of 'tiny'" in capsys.readouterr().err
    assert len(server.bodies) == 3 and ask(server.url, path, 3).paid.requests == 0
    assert capsys.readouterr().err == ""  # its new answers say it


def test_a_file_of_an_earlier_version_belongs_to_the_server_that_goes_on_with_it(server, other, path):
    ask(server.url, path)
    forget_servers(path)
    ask(server.url, path, 3)
    assert texts(ask(other.url, path, 3).answers) == ["OTHER"] * 3  # nothing of the first server is taken for it
    assert texts(llm.replay("tiny", requests(3)[2:], cache=llm.Cache(path), server=server.url)) == ["QUESTION 2"]


def test_models_in_this_process_have_no_server(path):
    cache = llm.Cache(path)
    cache.add("k", "m@1", llm.Answer(("a",), ("",), 1, 1, (None,)))
    cache.add("k2", "m", llm.Answer(("b",), ("stop",), 1, 1, (None,)), server="http://h/v1")
    assert cache.get("k").text == "a" and cache.get("k2") is None and cache.get("k2", "http://h/v1").text == "b"
    assert cache.servers("m@1") == frozenset() and cache.models == {"m", "m@1"}
    assert texts(cache.answers("m", "http://h/v1")) == ["b"] and texts(cache.answers("m@1")) == ["a"]
    assert texts(cache.answers()) == ["a", "b"] and cache.answers("m", "http://other/v1") == []


def test_a_replay_of_a_server_as_if_it_were_in_this_process(server, path):
    ask(server.url, path)
    with pytest.raises(ValueError, match=f"has answers of 'tiny' by a server, {server.url}: name that URL as well"):
        llm.record.find_replay("tiny", llm.Cache(path), llm.service.Ledger())


def test_writers_of_two_servers_share_a_file(path):
    one, two = llm.Cache(path), llm.Cache(path)
    key = request_key("m", llm.Request("a"))
    for cache, server in ((one, "http://a/v1"), (two, "http://b/v1"), (one, "http://b/v1")):
        cache.add(key, "m", llm.Answer((server,), ("stop",), 1, 1, (None,)), server=server)
    assert [one.get(key, f"http://{name}/v1").text for name in "ab"] == ["http://a/v1", "http://b/v1"]
    assert path.read_bytes().count(b"\n") == 2
