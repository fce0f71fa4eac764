"""What a run survives: each break, then the same command, and the files are those of an unbroken run."""

import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxalign.io.run.checkpoints import Checkpoints
from tests import processes
from tests.io.run import tiny

PROGRAM = pathlib.Path(tiny.__file__)


def start(directory, *arguments):
    environment = {**os.environ, "XLA_FLAGS": processes.FAST_COMPILATION, "PYTHONPATH": str(processes.ROOT)}
    command = [sys.executable, str(PROGRAM), str(directory), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def checkpoint_steps(directory):
    return sorted(int(path.name) for path in (directory / "checkpoints").iterdir() if path.name.isdigit())


def metrics(directory):
    return (directory / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An unbroken run in this process, and its final state."""
    directory = tmp_path_factory.mktemp("reference")
    with jax.debug_nans(False):
        return directory, jax.device_get(tiny.run(directory))


def assert_same_run(directory, state, reference):
    assert metrics(directory) == metrics(reference[0])
    for ours, theirs in zip(jax.tree.leaves(jax.device_get(state)), jax.tree.leaves(reference[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_killed_killed_again_and_terminated(tmp_path, reference):
    """Two processes die at once (-9), the next run ends politely, the last one leaves the files of an unbroken run."""
    killed = start(tmp_path, 6, int(signal.SIGKILL), 4)
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint_steps(tmp_path) == [4]
    assert metrics(reference[0]).startswith(metrics(tmp_path)) and metrics(tmp_path)

    killed = start(tmp_path, 5, int(signal.SIGKILL))  # its fifth step is step 9; the checkpoint of 8 may be in flight
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint_steps(tmp_path) in ([4], [4, 8])

    assert terminated(tmp_path, 2) == 0
    last = checkpoint_steps(tmp_path)[-1]
    assert last in (6, 10)
    assert metrics(tmp_path).count(b"\n") == last

    assert_same_run(tmp_path, tiny.run(tmp_path), reference)
    assert metrics(tmp_path).count(b"\n") == tiny.NUM_STEPS


def terminated(directory, number):
    """The exit code of a run that gets SIGTERM at its batch of that number."""
    with pytest.raises(SystemExit) as stopped:
        tiny.run(directory, place=tiny.at_batch(number, lambda: signal.raise_signal(signal.SIGTERM)))
    return stopped.value.code


def test_sigterm_finishes_the_step_and_exits_with_zero(tmp_path, reference):
    handler = signal.getsignal(signal.SIGTERM)
    assert terminated(tmp_path, 6) == 0
    assert checkpoint_steps(tmp_path) == [4, 6]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert_same_run(tmp_path, tiny.run(tmp_path), reference)


def test_a_finished_run_is_not_run_again(tmp_path, reference):
    tiny.run(tmp_path)

    def step(*_):
        raise AssertionError("no step is left")

    assert_same_run(tmp_path, tiny.run(tmp_path, step=step), reference)


def test_a_truncated_newest_checkpoint_is_skipped_and_named(tmp_path, reference):
    tiny.run(tmp_path, num_steps=8)
    largest = max((tmp_path / "checkpoints" / "8" / "state").rglob("d/*"), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    with pytest.warns(UserWarning, match=r"checkpoints/8 is damaged \(state/.* bytes instead of"):
        state = tiny.run(tmp_path)
    assert_same_run(tmp_path, state, reference)
    assert (tmp_path / "checkpoints" / "damaged-8").is_dir()
    assert checkpoint_steps(tmp_path) == [8, 12]


def test_with_every_checkpoint_damaged_the_run_starts_over(tmp_path, reference):
    tiny.run(tmp_path, num_steps=4)
    (tmp_path / "checkpoints" / "4" / "manifest.json").unlink()
    with pytest.warns(UserWarning, match=r"checkpoints/4 is damaged \(manifest.json is missing\)"):
        state = tiny.run(tmp_path)
    assert_same_run(tmp_path, state, reference)


def test_rows_that_a_dead_process_left_are_replaced(tmp_path, reference):
    tiny.run(tmp_path, num_steps=8)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "loss": 1.0}\n{"step": 10, "lo')
    assert_same_run(tmp_path, tiny.run(tmp_path), reference)


def test_a_folder_that_was_being_written_is_cleared(tmp_path, reference):
    tiny.run(tmp_path, num_steps=4)
    unfinished = tmp_path / "checkpoints" / "8.orbax-checkpoint-tmp"
    (unfinished / "state").mkdir(parents=True)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.newest() == 4
    assert_same_run(tmp_path, tiny.run(tmp_path), reference)
    assert not unfinished.exists()
