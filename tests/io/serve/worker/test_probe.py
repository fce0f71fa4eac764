"""A probe tells a worker that replies from one that does not."""

import asyncio

from jaxalign.io.serve.worker.probe import replies
from tests.io.serve.gateway.scripted import ScriptedWorker


def test_a_worker_replies_and_one_that_is_silent_wrong_or_gone_does_not(tmp_path):
    worker = ScriptedWorker(tmp_path / "w.sock")
    with worker.running():
        assert asyncio.run(replies(worker.path))
        assert [message["op"] for message in worker.asked] == ["status"]
        worker.other = {"error": "broken"}
        assert not asyncio.run(replies(worker.path))
        worker.seconds = 600.0
        assert not asyncio.run(replies(worker.path, seconds=0.05))
    assert not asyncio.run(replies(worker.path))
