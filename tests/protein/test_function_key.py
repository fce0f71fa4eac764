"""Texts of functions: the same for the same function, another one for whatever changes what it does."""

import dataclasses
import functools
import importlib
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein.function_key import function_key
from tests.architecture import subprocesses

CONSTANT = 5


def graph(structure, *, k=1):
    return structure, k


def reads_a_constant(structure):
    return graph(structure, k=CONSTANT)


def closed(k):
    def inner(structure):
        return graph(structure, k=k)

    return inner


def in_lambda(k):
    return lambda structure: graph(structure, k=k)


def with_default(k):
    def inner(structure, k=k):
        return graph(structure, k=k)

    return inner


def decorated(k):
    @functools.wraps(graph)
    def inner(structure):
        return graph(structure, k=k)

    return inner


class Bound:
    def __init__(self, k):
        self.k = k

    def __call__(self, structure):
        return graph(structure, k=self.k)

    def method(self, structure):
        return graph(structure, k=self.k)


class Slots(Bound):
    __slots__ = ("other",)

    def __init__(self, k):
        self.other = k


@dataclasses.dataclass
class Data:
    k: object

    def __call__(self, structure):
        return graph(structure, k=self.k)


MAKERS = {
    "partial": lambda k: functools.partial(graph, k=k),
    "partial of a partial": lambda k: functools.partial(functools.partial(graph, k=k)),
    "closure": closed,
    "lambda": in_lambda,
    "default": with_default,
    "decorated": decorated,
    "object": Bound,
    "method": lambda k: Bound(k).method,
    "slots": Slots,
    "dataclass": Data,
    "closure over a closure": lambda k: closed(closed(k)),
    "library's partial": lambda k: functools.partial(protein.make_graph, num_neighbors=k),
}
ARRAY = np.arange(2000.0)  # its repr leaves out the middle
CHANGED = ARRAY.copy()
CHANGED[1000] += 1
VALUES = [
    (7, 9),
    (None, 7),
    ([1, 2], [2, 1]),
    ({"a": 1}, {"a": 2}),
    (ARRAY, CHANGED),
    (np.float32(1), np.float64(1)),
    (b"a", b"b"),
    (frozenset("ab"), frozenset("ac")),
    (graph, closed(1)),
]


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_bound_changes_the_text(name):
    make = MAKERS[name]
    for one, other in VALUES:
        assert function_key(make(one)) == function_key(make(one))
        assert function_key(make(one)) != function_key(make(other)), (one, other)


def test_two_lambdas_of_one_line():
    one, other = (lambda s: graph(s, k=1)), (lambda s: graph(s, k=2))
    assert function_key(one) != function_key(other)


def test_a_constant_that_is_read(monkeypatch):
    before = function_key(reads_a_constant), function_key(graph)
    monkeypatch.setitem(globals(), "CONSTANT", 6)
    assert function_key(reads_a_constant) != before[0] and function_key(graph) == before[1]


@pytest.mark.parametrize(
    "after, same",
    [
        ("def f(s):\n    return help(s) + 1\n\ndef help(s):\n    return s\n", True),
        ("def f(s):\n    '''Says so.'''\n    return help( s )+1  # a comment\n\ndef help(s):\n    return s\n", True),
        ("def f(s):\n    return help(s) + 2\n\ndef help(s):\n    return s\n", False),
        ("def f(s):\n    return help(s) + 1\n\ndef help(s):\n    return -s\n", False),
        ("def f(s, t=1):\n    return help(s) + 1\n\ndef help(s):\n    return s\n", False),
    ],
)
def test_an_edit_changes_the_text_if_it_changes_the_code(tmp_path, monkeypatch, after, same):
    monkeypatch.syspath_prepend(tmp_path)
    keys = []
    for number, text in enumerate(("def f(s):\n    return help(s) + 1\n\n\ndef help(s):\n    return s\n", after)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "of_a_user.py").write_text(text)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        sys.modules.pop("of_a_user", None)
        keys.append(function_key(importlib.import_module("of_a_user").f))
    sys.modules.pop("of_a_user")
    assert (keys[0] == keys[1]) == same


def test_names_say_what_it_is():
    assert function_key(protein.read_structure) == "jaxalign.protein.structures.read_structure"
    assert re.fullmatch(
        r"jaxalign.protein.graphs.make_graph with \(\), \[\('num_neighbors', 9\)\]",
        function_key(functools.partial(protein.make_graph, num_neighbors=9)),
    )


def test_the_text_is_the_same_in_another_process():
    code = (
        "import tests.protein.test_function_key as t; from jaxalign.protein.function_key import function_key as f;"
        "print(f(t.in_lambda(frozenset('abc'))), f(t.Bound({'a', 'b'})), f(t.closed([1])))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=subprocesses.ROOT, capture_output=True, text=True, check=True
    )
    ours = (in_lambda(frozenset("abc")), Bound({"a", "b"}), closed([1]))
    assert found.stdout.split() == " ".join(map(function_key, ours)).split()


@pytest.mark.parametrize(
    "value", [threading.Lock(), iter([1]), open, np.array([object()])], ids=["lock", "iterator", "builtin", "objects"]
)
@pytest.mark.parametrize("name", ["partial", "closure", "lambda", "object"])
def test_what_cannot_be_read_is_refused(name, value):
    make = MAKERS[name]
    if value is open:
        assert function_key(make(value)) == function_key(make(value))
        return
    with pytest.raises(ValueError, match="depends on .*, of which no key can be made. Pass function_keys"):
        function_key(make(value))
