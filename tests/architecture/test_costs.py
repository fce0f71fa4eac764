"""The plugin that counts what tests cost (tests/costs.py), on a small suite in a process of its own."""

from tests.architecture import subprocesses

CONFTEST = """
import pathlib

pytest_plugins = ["tests.costs"]

def pytest_configure():
    from tests import costs
    costs.SLOW, costs.RECORD = 0.2, pathlib.Path(__file__).with_name("slow.tsv")
"""
SUITE = """
import time
import pytest

def work(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass

@pytest.fixture(scope="module")
def shared():
    work(0.3)

@pytest.fixture(scope="module")
def more():
    work(0.6)

def test_quick():
    pass

def test_makes_what_is_shared(shared):
    pass

def test_uses_what_is_shared(shared):
    pass

@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_works(seconds):
    work(seconds)

def test_too_dear():
    work(1.1)

def test_dear_with_what_is_shared(more):
    work(0.6)
"""
GONE = "tests/test_small.py::test_that_is_gone[0]", "tests/no_file.py::test_quick"
ELSEWHERE = "tests/test_other.py::test_elsewhere"


def run(folder, *arguments):
    options = "-q", "--rootdir", folder, "-p", "no:xdist", *arguments
    return subprocesses.run("-m", "pytest", *map(str, options), folder / "tests" / "test_small.py")


def test_slow_tests_are_recorded_left_out_and_limited(tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_small.py").write_text(SUITE)
    (folder / "test_other.py").write_text("def test_elsewhere():\n    pass\n")
    record = folder / "slow.tsv"
    record.write_text("".join(f"9.0\t{test}\n" for test in (*GONE, ELSEWHERE, "tests/test_small.py::test_quick")))

    whole = run(tmp_path, "--record-slow", "--limit", "1")
    assert whole.returncode == 1
    assert "test_too_dear: expected at most 1 s of CPU, took 1.1. Share, shrink or split it, or" in whole.stdout
    assert "7 passed, 1 error" in whole.stdout
    assert "7 tests      0 programs  tests\n" in whole.stdout
    # Those that ran are as they are now, gone ones are forgotten, others stay. What is shared counts for each user.
    recorded = [line.split("\t")[1] for line in record.read_text().splitlines()]
    assert recorded == [
        "tests/test_other.py::test_elsewhere",
        "tests/test_small.py::test_dear_with_what_is_shared",
        "tests/test_small.py::test_makes_what_is_shared",
        "tests/test_small.py::test_too_dear",
        "tests/test_small.py::test_uses_what_is_shared",
        "tests/test_small.py::test_works[0.5]",
    ]

    fast = run(tmp_path, "--fast")
    assert fast.returncode == 0, fast.stdout
    assert "2 passed, 5 deselected" in fast.stdout
