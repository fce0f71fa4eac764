"""A whole server as a user starts it: ``tools.serve`` with its processes, some of which are killed on the way."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import httpx
import pytest
import tomli_w

from jaxalign.io.serve import starting, trial
from jaxalign.io.serve.store.opening import open_store
from tests.processes import FAST_COMPILATION, ROOT

ANN, EVE = ({"authorization": f"Bearer {key}"} for key in ("key-of-ann", "key-of-eve"))
SECRET_WORD = "quokka-marmalade"
QUESTIONS = [f"How do I sort a list of {each} by {SECRET_WORD} order?" for each in ("words", "dates", "names", "pairs")]
PATIENCE = 60.0


def config(folder):
    models = [
        {"name": "small", "upstream": "toy", "prompt_price": 0.1, "examples": True},
        {"name": "large", "upstream": "toy", "prompt_price": 1.0, "teaches": True},
    ]
    return {
        "folder": str(folder),
        "port": starting.free_port(),
        "upstreams": [{"name": "toy", "base_url": "local:simulated"}],
        "models": models,
        # Nothing is drawn, quality costs nothing: the large model would never be asked if the small one is as good.
        "routing": {"deadline_seconds": 20.0, "cost_weight": 1.0, "explored": 0.0, "stray": 0.0},
        "embedder": {"kind": "hash", "width": 64},
        "learning": {"every_seconds": 0.5},
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command's process, the gateway's client and the folder."""
    folder = tmp_path_factory.mktemp("served")
    path, found = folder.parent / "serve.toml", config(folder)
    path.write_bytes(tomli_w.dumps(found).encode())
    command = [sys.executable, "-m", "tools.serve", "--config", str(path)]
    environment = {**os.environ, "XLA_FLAGS": FAST_COMPILATION}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as process:
        url = f"http://127.0.0.1:{found['port']}"
        try:
            trial.wait_until_ready(url, {"server": process})
            with httpx.Client(base_url=url, timeout=60) as client:
                yield process, client, folder
        finally:
            process.terminate()
            process.communicate()


def ask(client, text, who=None, model="auto", **headers):
    body = {"model": model, "messages": [{"role": "user", "content": text}], "user": "ann"}
    return client.post("/v1/chat/completions", json=body, headers={**(who or {}), **headers})


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)
    return found


def children(process, module):
    """Process ids of the server's processes that run a module."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == process.pid and module in (path / "cmdline").read_text().split("\0"):
                found.append(int(path.name))
    return found


def test_the_server_learns_hides_survives_and_forgets(server):
    process, client, folder = server

    # The large model's answers to Ann become examples.
    for text in QUESTIONS[:3]:
        assert ask(client, text, ANN, "large").headers["x-jaxalign-model"] == "large"
    with contextlib.closing(open_store("sqlite", folder)) as store:
        until(lambda: store.counts()["examples"] == 3)

    # A similar request of hers is shown them by the small model; another tenant's, nobody's and an unwilling one's not.
    def shown(who=ANN, text=QUESTIONS[3], **headers):
        return int(ask(client, text, who, **headers).headers["x-jaxalign-examples"])

    until(lambda: shown() == 3)
    alike = QUESTIONS[3].replace(SECRET_WORD, "number")  # Eve's words stay when Ann's are deleted
    assert shown(ANN, alike) == 3
    assert shown(EVE, alike) == shown(None, alike) == shown(ANN, **{"x-jaxalign-examples": "off"}) == 0

    # The worker is killed: requests are answered, and it comes back with all examples.
    (worker,) = children(process, "jaxalign.io.serve.worker")
    os.kill(worker, signal.SIGKILL)
    answered = ask(client, QUESTIONS[3], ANN)
    assert answered.status_code == 200 and answered.headers["x-jaxalign-model"] in ("small", "large")
    until(lambda: shown() == 3)

    # Feedback is learnt from.
    def rate():
        told = ask(client, QUESTIONS[3], ANN).headers["x-jaxalign-id"]
        assert client.post("/v1/feedback", json={"id": told, "score": 1}, headers=ANN).status_code == 200
        return told

    first = rate()
    with contextlib.closing(open_store("sqlite", folder)) as store:
        until(lambda: [each.feedback.interaction for each in store.latest_told(10)] == [first])

    # The gateway is killed: another takes its place.
    (gateway,) = children(process, "jaxalign.io.serve.gateway")
    os.kill(gateway, signal.SIGKILL)
    trial.wait_until_ready(str(client.base_url).rstrip("/"))
    assert shown() == 3

    # Ann is forgotten: nothing is shown, and her words stand in no file.
    deleted = client.delete("/v1/users/ann", headers=ANN).json()["deleted"]
    assert deleted["examples"] == 3 and deleted["interactions"] > 3 and deleted["feedback"] == 1
    until(lambda: shown() == 0)
    client.delete("/v1/users/ann", headers=ANN)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if SECRET_WORD.encode() in path.read_bytes()]

    # The learner is killed while feedback comes: what was acknowledged is kept, and another learner begins.
    (learner,) = children(process, "jaxalign.io.serve.learner")
    os.kill(learner, signal.SIGKILL)
    second = rate()
    with contextlib.closing(open_store("sqlite", folder)) as store:
        until(lambda: [each.feedback.interaction for each in store.untold(10)] == [second])
    until(lambda: set(children(process, "jaxalign.io.serve.learner")) - {learner})

    # It ends when it is told to, with all its processes.
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert "any API key is accepted" in process.stdout.read()
    assert children(process, "jaxalign.io.serve.worker") == []
