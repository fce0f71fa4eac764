"""What a run has cost, whatever became of the processes that worked on it."""

import json

import pytest

from jaxalign.io.run import spent
from tests.io.run import tiny


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets so much time pass."""
    now = [100.0]
    monkeypatch.setattr(spent.time, "perf_counter", lambda: now[0])

    def pass_time(seconds):
        now[0] += seconds

    return pass_time


def test_processes_add_up(tmp_path, clock):
    killed = spent.Spent(tmp_path)
    for _ in range(5):
        clock(2.0)
        killed.note()
    clock(0.5)
    killed.note()  # a moment after the last one: this half second is lost with the process
    with spent.Spent(tmp_path) as stopped:
        clock(3.0)
        assert (stopped.seconds, stopped.processes) == (13.0, 2)
    last = spent.Spent(tmp_path)
    clock(1.5)
    assert (last.seconds, last.processes) == (14.5, 3)
    last.write()
    assert json.loads((tmp_path / spent.NAME).read_text()) == [10.0, 3.0, 1.5]


@pytest.mark.parametrize("before", [[], [40.0], [40.0, 2.5]])
def test_a_summary_counts_all_processes(tmp_path, before):
    if before:
        (tmp_path / spent.NAME).write_text(json.dumps(before))
    tiny.run(tmp_path, num_steps=2)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["processes"] == len(before) + 1
    assert sum(before) < summary["seconds"] < sum(before) + 60
    assert len(json.loads((tmp_path / spent.NAME).read_text())) == len(before) + 1
