"""A PLaD run that is killed while it samples and while it trains ends as one that was not, and repeats nothing."""

import pathlib
import re
import signal
import subprocess
import sys

from tests.experiments import killed_plad

PROGRAM = pathlib.Path(killed_plad.__file__)


def start(*arguments):
    """In a process of its own, with the devices and the settings of this one."""
    return subprocess.run(
        [sys.executable, "-m", "tests.experiments.killed_plad", *map(str, arguments)],
        cwd=PROGRAM.parents[2],
        capture_output=True,
        text=True,
    )


def texts(file):
    """What a line says, without the time that it took."""
    return re.sub(rb'"(logps|seconds)": [^}]*', b"", file.read_bytes())


def test_two_kills_repeat_nothing_and_change_nothing(tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    sampling = start(broken, "student-", 10)
    assert sampling.returncode == -signal.SIGKILL, sampling.stderr
    folder = broken / "seed-0"
    (samples,) = folder.glob("student-*.jsonl")
    paid, teacher = samples.read_bytes(), (folder / "teacher.jsonl").read_bytes()
    assert paid.count(b"\n") == 10
    assert not list(folder.glob("pairs-*.jsonl"))

    training = start(broken, "PLaD-ranking", 4)
    assert training.returncode == -signal.SIGKILL, training.stderr
    # Ten samples were found, fourteen drawn; neither the teacher nor the warm start was asked or trained again.
    assert samples.read_bytes().startswith(paid) and samples.read_bytes().count(b"\n") == 24
    assert (folder / "teacher.jsonl").read_bytes() == teacher
    assert not re.search(r"(teacher\.jsonl|warm): step", training.stderr)
    (pairs,) = folder.glob("pairs-*.jsonl")
    sampled, made = samples.read_bytes(), pairs.read_bytes()
    rows = (folder / "PLaD-ranking" / "metrics.jsonl").read_bytes()
    assert 1 <= rows.count(b"\n") < 5

    finished = start(broken)
    assert finished.returncode == 0, finished.stderr
    assert (samples.read_bytes(), pairs.read_bytes()) == (sampled, made)
    assert "student-" not in finished.stderr
    assert (folder / "PLaD-ranking" / "metrics.jsonl").read_bytes().startswith(rows)

    unbroken = start(whole)
    assert unbroken.returncode == 0, unbroken.stderr
    assert (whole / "seed-0" / pairs.name).read_bytes() == made
    assert sorted(texts(whole / "seed-0" / samples.name).splitlines()) == sorted(texts(samples).splitlines())
    metrics = pathlib.Path("seed-0", "PLaD-ranking", "metrics.jsonl")
    assert (broken / metrics).read_bytes() == (whole / metrics).read_bytes()
    assert held_out(finished.stdout) == held_out(unbroken.stdout)


def held_out(output):
    """The printed table; costs, which follow it, may differ."""
    return re.search(r"held-out\n.*?\n\n", output, re.DOTALL).group()
