"""Two processes of four devices each: one run, one folder, the numbers of one process."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np

from jaxalign import sharding
from jaxalign.io.writers import read_metrics
from tests.io_loop import tiny, two_processes

PROGRAM = pathlib.Path(tiny.__file__).with_name("two_processes.py")


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start(directory, *arguments_of_process_1):
    """Runs both; returns their exit codes and what they wrote to stderr."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": str(PROGRAM.parents[2]),
    }
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(directory), str(port), *map(str, arguments)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for arguments in ([0], [1, *arguments_of_process_1])
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [process.returncode for process in processes], errors


def test_two_processes_stop_together_and_go_on(tmp_path):
    codes, errors = start(tmp_path, 6, int(signal.SIGTERM))  # to the second process alone, at its batch of step 6
    assert codes == [0, 0], errors
    stopped = len(read_metrics(tmp_path))
    assert 6 <= stopped < tiny.NUM_STEPS
    assert (tmp_path / "checkpoints" / str(stopped)).is_dir()

    codes, errors = start(tmp_path)
    assert codes == [0, 0], errors
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, tiny.NUM_STEPS + 1))
    assert "step" in errors[0] and "loss" not in errors[1]  # progress is shown once

    assert_equals_one_process(rows, tmp_path / "one")


def test_when_one_dies_the_other_says_so_and_the_run_goes_on_elsewhere(tmp_path):
    """Killed behind checkpoint 4 of 2 x 4 devices; goes on as one process of 8, on another mesh."""
    codes, errors = start(tmp_path, 6, int(signal.SIGKILL), 4)
    assert codes == [1, -signal.SIGKILL], errors
    assert "process 0: process 1 of 2 was not heard from for 20 s, so this run cannot go on" in errors[0]
    assert "continues from the newest checkpoint" in errors[0]

    state = two_processes.train(tmp_path, sharding.make_mesh(fsdp=8), {})
    assert len(state.params["w"].devices()) == 8
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, tiny.NUM_STEPS + 1))
    assert_equals_one_process(rows, tmp_path / "one")


def assert_equals_one_process(rows, directory):
    tiny.run(directory)
    for name in ("loss", "grad_norm", "first_index"):
        expected = [row[name] for row in read_metrics(directory)]
        np.testing.assert_allclose([row[name] for row in rows], expected, rtol=1e-4)
