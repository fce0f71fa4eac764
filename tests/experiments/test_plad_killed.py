"""A PLaD run that is killed while it samples and while it trains ends as one that was not, and repeats nothing."""

import pathlib
import re
import signal
import subprocess
import sys

import pytest

from tests.experiments import killed_plad

PROGRAM = pathlib.Path(killed_plad.__file__)
METRICS = "PLaD-ranking/metrics.jsonl"


def start(*arguments):
    """In a process of its own, with the devices and the settings of this one."""
    return subprocess.run(
        [sys.executable, "-m", "tests.experiments.killed_plad", *map(str, arguments)],
        cwd=PROGRAM.parents[2],
        capture_output=True,
        text=True,
    )


def written(output):
    """Every text, pair and row of metrics so far, by its place."""
    return {str(path.relative_to(output / "seed-0")): path.read_bytes() for path in output.rglob("*.jsonl")}


def of(files, begin):
    """What the one file has whose name begins so."""
    (name,) = [name for name in files if name.startswith(begin)]
    return files[name]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def sampling(output):
    """Killed after five samples of the student; what was written."""
    process = start(output, "--kill-at", "student-", 5)
    assert process.returncode == -signal.SIGKILL, process.stderr
    return written(output)


@pytest.fixture(scope="module")
def training(output, sampling):
    """Started again, and killed in the last step; what it said, and what was written."""
    process = start(output, "--kill-at", "PLaD-ranking", 4)
    assert process.returncode == -signal.SIGKILL, process.stderr
    return process, written(output)


@pytest.fixture(scope="module")
def ended(output, training, tmp_path_factory):
    """Started once more, and then a run that nothing kills, in one process that imports and compiles once."""
    whole = tmp_path_factory.mktemp("whole")
    process = start(output, whole)
    assert process.returncode == 0, process.stderr
    finishing, of_whole, _ = process.stderr.partition(str(whole))
    assert of_whole
    return finishing, process.stdout, written(output), written(whole)


def test_a_kill_while_sampling_leaves_the_samples(sampling):
    assert of(sampling, "student-").count(b"\n") == 5
    assert not [name for name in sampling if name.startswith("pairs-")]


def test_the_next_start_goes_on_with_them_and_trains(sampling, training):
    process, files = training
    # Five samples were found, seven drawn; neither the teacher nor the warm start was asked or trained again.
    assert of(files, "student-").startswith(of(sampling, "student-")) and of(files, "student-").count(b"\n") == 12
    assert files["teacher.jsonl"] == sampling["teacher.jsonl"]
    assert not re.search(r"(teacher\.jsonl|warm): step", process.stderr)
    assert 1 <= files[METRICS].count(b"\n") < 5


def test_the_last_start_draws_nothing_and_trains_on(training, ended):
    _, before = training
    said, _, files, _ = ended
    assert [of(files, name) for name in ("student-", "pairs-")] == [of(before, name) for name in ("student-", "pairs-")]
    assert "student-" not in said
    assert files[METRICS].startswith(before[METRICS])


def test_two_kills_change_nothing(ended):
    _, printed, broken, whole = ended
    (pairs,) = [name for name in broken if name.startswith("pairs-")]
    assert broken[pairs] == whole[pairs]
    assert texts(of(broken, "student-")) == texts(of(whole, "student-"))
    assert broken[METRICS] == whole[METRICS]
    # The printed tables are the same; costs, which follow them, may differ.
    tables = re.findall(r"held-out\n.*?\n\n", printed, re.DOTALL)
    assert len(tables) == 2 and tables[0] == tables[1]


def texts(lines):
    """What each line says, without the time that it took, in no order."""
    return sorted(re.sub(rb'"(logps|seconds)": [^}]*', b"", lines).splitlines())
