"""What a user did wrong is one line; what the project did wrong keeps its traceback."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses
from jaxalign.io import edge, hf
from jaxalign.io.llm.http import RequestError
from tests.architecture import subprocesses


def caught(function, *arguments):
    with pytest.raises(Exception) as info:  # noqa: B017
        function(*arguments)
    return info.value


def read_bad_row(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a"}\n')
    data.read_jsonl(path, data.PairColumns())


MISTAKES = {
    "a bad row": (read_bad_row, "pairs.jsonl, row 1: chosen: no such column"),
    "no such model": (lambda folder: hf.resolve(folder / "nothing"), "does not exist; pass a model's or a hub id"),
    "no such file": (
        lambda folder: (folder / "nothing.jsonl").read_text(),
        "nothing.jsonl: expected a file or folder, and there is none of that name; check the path",
    ),
    "a folder where a file is meant": (
        lambda folder: data.read_jsonl(folder, data.PairColumns()),
        ": expected a file, and this is a folder; name the file in it",
    ),
    "a file where a folder is meant": (
        lambda folder: (folder / "file").touch() or (folder / "file").mkdir(),
        "file: expected a folder or a free name, and a file is there; choose another name",
    ),
    "a file on the way": (
        lambda folder: (folder / "file").touch() or (folder / "file" / "x").read_text(),
        "expected a folder on the way there, and this is a file; check the path",
    ),
    "a dead server": (lambda folder: _raise(ConnectionRefusedError(111, "refused")), "[Errno 111] refused"),
}


def _raise(error):
    raise error


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_a_line(kind, tmp_path):
    function, words = MISTAKES[kind]
    line = edge.explanation(caught(function, tmp_path))
    assert words in line and "\n" not in line


def test_a_mistake_that_is_met_while_jax_traces_is_a_line():
    @jax.jit
    def traced(scores):
        return losses.with_temperature(losses.forward_kl_divergence, -1.0)(scores, scores)

    assert "temperature must be positive, got -1.0" in edge.explanation(caught(traced, jnp.zeros(3)))


BUGS = {
    "of Python": lambda: {}["name"],
    "of types": lambda: len(3),
    "of NumPy in C": lambda: np.zeros(3).reshape(2, 2),
    "of NumPy in Python": lambda: np.stack([np.zeros(2), np.zeros(3)]),
    "of JAX": lambda: jnp.zeros(3) + jnp.zeros(2),
    "of int": lambda: int("x"),
    "of a library": lambda: json.loads("{"),
    "an assertion": lambda: _assert_false(),
}


def _assert_false():
    raise AssertionError("never")


@pytest.mark.parametrize("kind", BUGS)
def test_a_bug_keeps_its_traceback(kind):
    assert edge.explanation(caught(BUGS[kind])) is None


def test_a_raise_in_another_package_is_none_of_ours(monkeypatch):
    monkeypatch.setitem(globals(), "__name__", "jaxalign.something")  # where a statement of ours would be
    assert edge.explanation(caught(_raise, ValueError("text"))) == "text"
    monkeypatch.setitem(globals(), "__name__", "numpy.something")
    assert edge.explanation(caught(_raise, ValueError("text"))) is None


def test_errors_of_its_own_kinds_count_too(monkeypatch):
    monkeypatch.setitem(globals(), "__name__", "jaxalign.something")
    assert edge.explanation(caught(_raise, RequestError("status 401"))) == "status 401"
    assert edge.explanation(caught(_raise, KeyError("name"))) is None


PROGRAM = """
import sys
from jaxalign.io import edge
edge.explain_errors()
if sys.argv[1] == "mistake":
    raise ValueError("expected one,\\n  got two; give one")
int("x")
"""


@pytest.mark.parametrize(
    ("flags", "what", "traceback"),
    [((), "mistake", False), ((), "bug", True), (("-X", "dev"), "mistake", True)],
)
def test_a_command_ends_with_it(flags, what, traceback):
    result = subprocesses.run(*flags, "-W", "ignore", "-c", PROGRAM, what)
    assert result.returncode == 1
    assert ("Traceback" in result.stderr) == traceback
    if not traceback:
        assert result.stderr == "error: expected one, got two; give one\n"


def test_the_hook_that_stood_there_hears_of_bugs(monkeypatch, capsys):
    heard = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: heard.append(error))
    edge.explain_errors()
    bug, mistake = caught(int, "x"), caught(open, "/nothing/at/all")
    for error in (bug, mistake):
        sys.excepthook(type(error), error, error.__traceback__)
    assert heard == [bug]
    assert capsys.readouterr().err.startswith("error: /nothing/at/all: expected a file")
