"""Where time goes, by a clock that the test turns: waits by cause, and advice where data is what limits."""

import re

import pytest

from jaxalign.io.run import timing
from tests.io.run import tiny


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets so much time pass."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def pass_time(seconds):
        now[0] += seconds

    return pass_time


def run(clock, waits, step=3.0):
    measured = timing.Timing()
    for wait in waits:
        with measured.waiting("data"):
            clock(wait)
        clock(step)
        measured.step_finished()
    return measured


def test_the_share_of_data_leaves_out_the_first_batch(clock):
    """Workers start with the first batch: 100 seconds. Then 1 of each 4 is waiting."""
    measured = run(clock, [100.0] + [1.0] * 24)
    assert measured.data_share() == 0.25
    assert measured.summary()["data_seconds"] == 124 and measured.summary()["data_share"] == 0.25
    assert "steps waited for data 25% of the time. Prepare it in processes (num_workers" in measured.advice()


def test_waiting_before_the_first_step_ends_is_left_out(clock):
    """The loop asks for the second batch while the first step runs."""
    measured = timing.Timing()
    for wait in (10.0, 20.0):
        with measured.waiting("data"):
            clock(wait)
    measured.step_finished()
    clock(3.0)
    with measured.waiting("data"):
        clock(1.0)
    measured.step_finished()
    assert measured.data_share() == 0.25


def test_no_advice_where_data_is_in_time_or_steps_are_few(clock):
    assert run(clock, [100.0] + [0.5] * 24).advice() is None  # a seventh
    assert run(clock, [1.0] * (timing.ENOUGH_STEPS - 1)).advice() is None
    assert run(clock, [1.0] * timing.ENOUGH_STEPS).advice() is not None
    assert run(clock, []).data_share() == run(clock, [5.0]).data_share() == 0


def test_a_run_says_it_at_its_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "ENOUGH_STEPS", 2)
    monkeypatch.setattr(timing, "LIMITING_SHARE", 0.0)
    tiny.run(tmp_path / "slow", num_steps=4)
    said = capsys.readouterr().err
    assert re.search(r"slow: 4 steps in [\d.]+ s; a step [\d.e+]+ ms at 50 %, .* 0 recompilations, \d+% waiting", said)
    assert "slow: steps waited for data" in said
    monkeypatch.setattr(timing, "LIMITING_SHARE", 1.1)  # more than there can be
    tiny.run(tmp_path / "fast", num_steps=4)
    assert "waited for data" not in capsys.readouterr().err
