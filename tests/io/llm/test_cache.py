"""The file of answers: kills, other writers, full disks, and what tells requests apart."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.protocol import request_key
from tests.full_disk import limited
from tests.io.llm import chat_server

ROOT = pathlib.Path(__file__).parents[2]
ASK = """
import sys
from jaxalign.io import llm
client = llm.Client(sys.argv[1], "tiny", key_variable="UNSET_KEY")
requests = [llm.Request(f"question {n}") for n in range(12)]
run = llm.complete(client, requests, cache=llm.Cache(sys.argv[2]), concurrency=2, show=False)
print(*[answer.text for answer in run.answers], run.paid.requests, run.cached.requests, sep="|")
"""
WRITE = """
import sys
from jaxalign.io import llm
cache = llm.Cache(sys.argv[1])
for n in range(150):
    text = sys.argv[2] * (1 + 997 * n % 20_000)
    cache.add(f"{sys.argv[2]}{n}", "tiny", llm.Answer((text,), ("stop",), 1, 1, (None,)))
    cache.add(f"shared{n}", "tiny", llm.Answer((text,), ("stop",), 1, 1, (None,)))
"""


def start(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def answer(text, **changes):
    return llm.Answer((text,), ("stop",), 3, 2, (None,), 0.5, 1)._replace(**changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "cache.jsonl"


@pytest.fixture
def three(path):
    cache = llm.Cache(path)
    for name in "abc":
        cache.add(name, "tiny", answer(name.upper()))
    return path.read_bytes()


def test_what_is_read_is_what_was_written(path, three):
    strange = answer('"\n\u2028\ud800漢', logprobs=([{"token": "x", "logprob": float("-inf")}],))
    assert llm.Cache(path).add("d", "tiny", strange) == strange._replace(cached=True)
    assert llm.Cache(path).get("d") == strange._replace(cached=True)
    assert llm.Cache(path).get("e") is None
    assert [json.loads(line)["key"] for line in path.read_bytes().splitlines()] == list("abcd")


def test_a_torn_last_line_is_no_answer_and_is_replaced(path, three):
    ends = [n + 1 for n, byte in enumerate(three) if byte == ord("\n")]
    for cut in range(ends[1], len(three), 7):
        path.write_bytes(three[:cut])
        cache = llm.Cache(path)
        assert (cache.get("b"), cache.get("c")) == (answer("B", cached=True), None)
        assert path.read_bytes() == three[:cut]  # reading changes nothing: the line may be another writer's
        cache.add("c", "tiny", answer("C"))
        assert path.read_bytes() == three


def test_a_damaged_line_is_named(path, three):
    path.write_bytes(three.replace(b'"key": "b"', b'"kay": "b"'))
    with pytest.raises(ValueError, match=r"cache\.jsonl, line 2: not an answer \(KeyError: 'key'\); remove the line"):
        llm.Cache(path).get("a")


def test_another_cache_of_the_file_is_seen(path):
    one, other = llm.Cache(path), llm.Cache(path)
    one.add("a", "tiny", answer("A"))
    assert other.get("a").text == "A"
    assert other.add("a", "tiny", answer("later")).text == "A"  # the first one stands, for both
    assert path.read_bytes().count(b"\n") == 1


def test_a_file_that_was_cut_is_not_written(path, three):
    cache = llm.Cache(path)
    cache.get("a")
    path.write_bytes(three[:10])
    with pytest.raises(ValueError, match="became shorter since it was read"):
        cache.add("d", "tiny", answer("D"))
    assert path.read_bytes() == three[:10]


def test_processes_and_threads_that_write_together(path):
    """Four writers with lines of up to 20,000 bytes, half of the keys shared: all lines whole, no key twice."""
    processes = [start(WRITE, path, name) for name in "xy"]
    program = WRITE.replace("sys.argv[1]", "path").replace("sys.argv[2]", "name")
    threads = [threading.Thread(target=exec, args=(program, {"path": path, "name": name})) for name in "zw"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for process in processes:
        finish(process)
    keys = [json.loads(line)["key"] for line in path.read_bytes().splitlines()]
    expected = [f"{name}{n}" for name in ("x", "y", "z", "w", "shared") for n in range(150)]
    assert sorted(keys) == sorted(expected)
    assert all(llm.Cache(path).get(key) for key in ("x149", "w0"))


def test_a_full_disk_loses_nothing(path, three):
    cache = llm.Cache(path)
    cache.get("a")
    message = "could not write 1 answers to .*File too large.* start the same command again"
    with limited(len(three) + 20), pytest.raises(OSError, match=message):
        cache.add("d", "tiny", answer("D"))
    assert path.read_bytes() == three and cache.get("d").text == "D"
    cache.add("e", "tiny", answer("E"))
    assert [json.loads(line)["key"] for line in path.read_bytes().splitlines()] == list("abcde")


def test_a_full_disk_stops_a_run_which_goes_on_without_paying_twice(path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = [llm.Request(f"question {n}") for n in range(9)]
    cache, sent = llm.Cache(path), []
    with chat_server.serving() as server:
        client = llm.Client(server.url, "tiny")
        llm.complete(client, asked[:1], cache=cache, show=False)
        room = path.stat().st_size * 5 // 2
        with limited(room), pytest.raises(OSError, match=r"could not write \d answers"):
            llm.complete(client, asked, cache=cache, concurrency=3, show=False)
        sent = server.asked()
        assert len(sent) < 9
        again = llm.complete(client, [llm.Request(prompt) for prompt in sent], cache=cache, show=False)
        assert server.asked() == sent and again.paid == llm.Usage()
        assert path.read_bytes().count(b"\n") == len(sent)
        run = llm.complete(client, asked, cache=cache, show=False)
        assert sorted(server.asked()) == [request.messages[0]["content"] for request in asked]
    assert run.cached.requests == len(sent) and llm.replay("tiny", asked, cache=llm.Cache(path))


@pytest.fixture
def ask(monkeypatch, capsys):
    """The program ASK in this process; what it prints."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["", *map(str, arguments)])
        exec(ASK, {})
        return capsys.readouterr().out.strip()

    return run


def test_a_killed_process_is_continued_and_pays_nothing_twice(path, ask):
    """Two of twelve requests are under way when the process is killed with five answers on disk."""
    gate = threading.Semaphore(5)
    with chat_server.serving() as server:
        server.on_request = lambda body: gate.acquire(timeout=60)
        process = start(ASK, server.url, path)
        give_up = time.monotonic() + 60
        while not path.exists() or path.read_bytes().count(b"\n") < 5 or len(server.bodies) < 7:
            assert time.monotonic() < give_up and process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.kill()
        process.communicate()
        gate.release(100)
        written = path.read_bytes()
        path.write_bytes(written + b'{"key": "torn by the ki')
        before, paid_before = len(server.bodies), {json.loads(line)["texts"][0] for line in written.splitlines()}
        answers, paid, cached = ask(server.url, path).rsplit("|", 2)
        assert answers == "|".join(f"QUESTION {n}" for n in range(12))
        assert (paid, cached) == ("7", "5")
        asked_again = [prompt.upper() for prompt in server.asked()[before:]]
        assert sorted(asked_again) == sorted(set(answers.split("|")) - paid_before)
        assert path.read_bytes().startswith(written) and path.read_bytes().count(b"\n") == 12
        assert ask(server.url, path) == f"{answers}|0|12"
        assert len(server.bodies) == 7 + 7


def test_each_parameter_makes_another_request():
    """All keys differ, also between models; what only looks different does not count."""
    chat = [{"role": "user", "content": "a"}]
    changes = [
        {},
        {"messages": "b"},
        {"messages": [{"role": "system", "content": "a"}]},
        {"messages": [*chat, {"role": "assistant", "content": ""}]},
        {"temperature": 0.0},
        {"temperature": None},
        {"top_p": 0.5},
        {"max_tokens": 5},
        {"n": 2},
        {"seed": 0},
        {"stop": ["a"]},
        {"stop": ["a", "b"]},
        {"top_logprobs": 0},
        {"top_logprobs": 1},
        {"sample": 1},
        {"extra": {"min_p": 0.1}},
    ]
    keys = [request_key("m", llm.Request(**{"messages": "a"} | change)) for change in changes]
    keys.append(request_key("other", llm.Request("a")))
    assert len(set(keys)) == len(changes) + 1
    same = llm.Request(chat, stop=[], extra={})
    assert request_key("m", same) == keys[0]
    # A file that was recorded once must be found by later versions.
    assert keys[0] == "b8c193671de69d2a6dfebcf03ab8925ae12f4f4eec0a87f5b8a6312a650df1b4"
