"""Several processes with eight devices: one run, one folder, the numbers of one process."""

import pathlib
import signal

import numpy as np

from jaxalign import sharding
from jaxalign.io.run.writers import read_metrics
from tests.io.run import many_processes, tiny
from tests.processes import free_port, run_together

PROGRAM = pathlib.Path(many_processes.__file__)


def start(directory, *arguments_of_the_last, processes=2):
    """Runs all; returns their exit codes and what they wrote to stderr."""
    port = free_port()
    commands = [[PROGRAM, directory, port, number, processes] for number in range(processes)]
    commands[-1] += arguments_of_the_last
    codes, _, errors = run_together(commands)
    return codes, errors


def test_a_run_goes_on_from_four_processes_to_two_to_one(tmp_path):
    """4 x 2 devices stop together at a signal to one of them; of 2 x 4 one dies; one process of 8 ends the run."""
    codes, errors = start(tmp_path, 6, int(signal.SIGTERM), processes=4)  # to the last one, at its batch of step 6
    assert codes == [0] * 4, errors
    stopped = len(read_metrics(tmp_path))
    assert 6 <= stopped < tiny.NUM_STEPS
    assert (tmp_path / "checkpoints" / str(stopped)).is_dir()
    assert "step" in errors[0] and "loss" not in errors[1]  # progress is shown once

    codes, errors = start(tmp_path, tiny.NUM_STEPS - stopped, int(signal.SIGKILL))  # at its batch of the last step
    assert codes == [1, -signal.SIGKILL], errors
    assert "process 0: process 1 of 2 was not heard from for 20 s, so this run cannot go on" in errors[0]
    assert "continues from the newest checkpoint" in errors[0]

    state = many_processes.train(tmp_path, sharding.make_mesh(fsdp=8), {})
    assert len(state.params["w"].devices()) == 8
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, tiny.NUM_STEPS + 1))
    assert_equals_one_process(rows, tmp_path / "one")


def assert_equals_one_process(rows, directory):
    tiny.run(directory)
    for name in ("loss", "grad_norm", "first_index"):
        expected = [row[name] for row in read_metrics(directory)]
        np.testing.assert_allclose([row[name] for row in rows], expected, rtol=1e-4)
