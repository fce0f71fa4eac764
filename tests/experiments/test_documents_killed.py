"""SIGKILL at twenty points of writing documents by a server: the same file at the end, and no answer is paid twice."""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxalign.attributes import prompt_hash
from jaxalign.io import jobs, llm
from tests.experiments import killed_documents
from tests.experiments.killed_documents import CONCURRENCY, FILE
from tests.io.llm import chat_server
from tests.processes import ROOT

REQUESTS = killed_documents.make_all_requests()
BROKEN = 21  # the row whose prompt the server turns down
# Which request of a start brings the kill, whether it is answered before that, and the seconds in which what follows
# from its answer goes on. Together fewer than the hundred requests, so that each of the starts is killed.
KILLS = [(1 + 3 * n % 8, n % 3 > 0, (0.0, 0.001, 0.004, 0.016)[n % 4]) for n in range(20)]


class Script:
    """A server's answers, which tell their request; it kills who asks, and answers nothing after it has decided to."""

    def __init__(self):
        self.guard, self.known = threading.Lock(), threading.Event()
        self.broken, self.seen = REQUESTS[BROKEN].prompt, []

    def begin(self, kill=None):
        """Before a start; ``known`` is set when its process is known."""
        self.kill, self.seen, self.dead = kill, [], threading.Event()
        self.known.clear()

    def __call__(self, handler, body):
        self.known.wait(60)
        text = text_of(body["messages"][-1]["content"], body["seed"])
        if handler.headers["Authorization"] != f"Bearer {self.process}":
            return handler.answer(503, "{}")  # to one that is dead, and had sent this before
        with self.guard:
            self.seen.append(text)
            number, (last, answered, seconds) = len(self.seen), self.kill or (10**6, True, 0.0)
        if number > last:
            self.dead.wait(60)
        if number != last or answered:
            self.answer(handler, body, text)
        if number == last:
            time.sleep(seconds)
            os.kill(self.process, signal.SIGKILL)
            self.dead.set()
        return None

    def answer(self, handler, body, text):
        prompt = body["messages"][-1]["content"]
        if prompt == self.broken:
            return handler.answer(400, '{"error": "filtered"}')
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": body["seed"] + len(text)}
        return handler.answer(200, json.dumps(chat_server.completion(body, choices=[choice], usage=usage)))


def text_of(prompt, seed):
    return f"Text {seed} of {prompt_hash(prompt)[:16]}"


class Server:
    """The scripted server, and the process whose forks ask it."""

    def __init__(self, url, script, warm):
        self.url, self.script, self.warm = url, script, warm

    def start(self, folder, kill=None, call="write"):
        """Returns how the process ended, and what it had asked for by then."""
        self.script.begin(kill)
        self.warm.stdin.write(json.dumps([call, str(folder), self.url]) + "\n")
        self.warm.stdin.flush()
        self.script.process = int(self.warm.stdout.readline())
        self.script.known.set()
        return int(self.warm.stdout.readline()), list(self.script.seen)


@pytest.fixture(scope="module")
def server():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", killed_documents.__name__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        chat_server.serving() as server,
        subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as warm,
    ):
        script = Script()
        server.faults = [script] * 10_000
        yield Server(server.url, script, warm)


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """What a run without a break writes, and how often it asks for what."""
    folder = tmp_path_factory.mktemp("whole")
    code, seen = server.start(folder)
    assert code == 0 and len(seen) == len(REQUESTS)
    return folder, collections.Counter(seen)


def pool(folder):
    """The texts that are paid."""
    return {answer.text for answer in llm.Cache(folder / "answers.jsonl").answers() if answer.prompt_tokens}


def broken_text():
    return text_of(REQUESTS[BROKEN].prompt, 3)


def test_twenty_kills_change_nothing(server, whole, tmp_path):
    assert sum(last for last, *_ in KILLS) < len(REQUESTS)
    asked, points = collections.Counter(), set()
    for kill in KILLS:
        before = pool(tmp_path)
        code, seen = server.start(tmp_path, kill)
        assert code == -signal.SIGKILL
        lost = set(seen) - pool(tmp_path) - {broken_text()}
        assert len(lost) <= CONCURRENCY and not before & set(seen)
        asked.update(seen)
        points.add((len(pool(tmp_path)), lines(tmp_path)))
    assert len(points) > 12 and max(points)[1] > 30  # all through the file
    before = pool(tmp_path)
    code, seen = server.start(tmp_path)
    assert code == 0 and not before & set(seen)
    asked.update(seen)
    assert (tmp_path / FILE).read_bytes() == (whole[0] / FILE).read_bytes()
    assert pool(tmp_path) == pool(whole[0]) and len(pool(tmp_path)) == len(REQUESTS) - 1
    del asked[broken_text()]  # which is in no pool, and was asked for until its row was written
    again = sum(count - 1 for count in asked.values())
    assert asked.keys() == whole[1].keys() - {broken_text()} and 0 < again <= CONCURRENCY * len(KILLS)
    assert server.start(tmp_path) == (0, [])


def lines(folder):
    return (folder / FILE).read_bytes().count(b"\n") if (folder / FILE).exists() else 0


def test_one_failed_request_shifts_no_row_and_is_asked_again(server, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(server.script, "broken", "")
    assert server.start(tmp_path)[0] == 0
    good, file = (tmp_path / FILE).read_bytes().splitlines(), whole[0] / FILE
    rows = file.read_bytes().splitlines()
    assert [place for place in range(len(REQUESTS)) if rows[place] != good[place]] == [BROKEN]
    row = jobs.read_documents(file)[BROKEN]
    assert row.document.text is None and row.document.reason.endswith("status 400, filtered")
    assert row.usage == {"model": "m"} and set(jobs.read_documents(file)[0].usage) == {*row.usage} | {
        "prompt_tokens",
        "completion_tokens",
        "tokens",
        "cost",
    }
    code, seen = server.start(whole[0], call="retry")
    assert code == 0 and seen == [text_of(REQUESTS[BROKEN].prompt, 3 + jobs.ATTEMPT_SEEDS)]
    retried = file.read_bytes().splitlines()
    assert [place for place in range(len(REQUESTS)) if rows[place] != retried[place]] == [BROKEN]
    assert jobs.read_documents(file)[BROKEN].document.text == seen[0]
