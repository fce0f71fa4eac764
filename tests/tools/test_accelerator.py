"""tools/accelerator.py: parts in processes of their own, within a time."""

import importlib
import sys
import time

import pytest
import tyro

from tools import accelerator, bench
from tools.benchmarks.measure import Table, within
from tools.model_shapes import BENCHMARKED


def test_rows_are_printed_as_they_are_measured():
    events = []

    def rows():
        for name in "ab":
            events.append(f"measured {name}")
            yield (name,)

    for line in Table("T", ["A note."], ("x",), rows()).lines():
        events.append(line)
    assert events[-4:] == ["measured a", "| a |", "measured b", "| b |"]


def test_no_line_begins_after_the_deadline():
    assert list(within(["a", "b"], time.monotonic() + 60)) == ["a", "b"]
    late = list(within(["a", "b"], time.monotonic() - 1))
    assert late[0] == "a" and len(late) == 2 and "Time is up" in late[1]


def test_bench_takes_every_part(monkeypatch):
    """A name that it does not know would fail on the accelerator only."""
    asked = []
    monkeypatch.setattr(bench, "make_table", lambda *arguments: asked.append(arguments) or Table("T", ()))
    for part in accelerator.PARTS.values():
        tyro.cli(bench.main, args=[*part.arguments, "--seconds", "1"])
    assert [name for name, *_ in asked].count("training_grid") == 2 and len(asked) == len(accelerator.PARTS)
    assert {model for *_, models in asked for model in models} == set(BENCHMARKED)
    for name in {name for name, *_ in asked}:
        assert callable(importlib.import_module(f"tools.benchmarks.{name}").table)


def test_lines_of_a_process_reach_the_file_at_once(tmp_path, capsys):
    path = tmp_path / "out"
    with path.open("a") as file:
        script = "import os, sys; print(os.environ['WHO'], flush=True); sys.exit(3)"
        assert accelerator.run([sys.executable, "-c", script], {"WHO": "me"}, 60, file) == 3
        assert path.read_text() == "me\n"
    assert capsys.readouterr().out == "me\n"


def test_a_process_that_hangs_is_killed(tmp_path):
    script = "import time; print('begun', flush=True); time.sleep(600)"
    start = time.monotonic()
    with (tmp_path / "out").open("a") as file:
        assert accelerator.run([sys.executable, "-c", script], {}, 1, file) < 0
    assert time.monotonic() - start < 60


def test_parts_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    commands = []

    def run(command, environment, seconds, file):
        commands.append((command[1:], environment))
        return 1 if "attention" in command else 0

    monkeypatch.setattr(accelerator, "run", run)
    accelerator.main(tmp_path / "out", 1000.0, ("attention", "kernels"))
    assert [command[:4] for command, _ in commands] == [
        ["-m", "tools.bench", "--table", "attention"],
        ["-m", "tools.bench", "--table", "kernels"],
    ]
    assert "attention ended with 1." in (tmp_path / "out").read_text()
    accelerator.main(tmp_path / "out", 1.0, ("trl",))
    assert len(commands) == 2 and "Not begun for lack of time: trl." in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no part 'tlr'"):
        accelerator.main(tmp_path / "out", 1.0, ("tlr",))
