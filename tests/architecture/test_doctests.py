"""Examples in docstrings run and give what they show.

Found by parsing, not by doctest's own finder, which does not recognise the functions that runtime shape checks wrap.
"""

import ast
import doctest
import importlib

import pytest

from tests.architecture.subprocesses import ROOT


def docstrings(path):
    """Name and docstring of the module and of each class and function in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield getattr(node, "name", path.stem), ast.get_docstring(node) or ""


def with_examples():
    for path in sorted((ROOT / "jaxalign").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name, text in docstrings(path):
            if doctest.DocTestParser().get_examples(text):
                yield pytest.param(module, name, text, id=f"{module}.{name}")


DOCTESTS = list(with_examples())


def run(module, name, text):
    test = doctest.DocTestParser().get_doctest(text, vars(importlib.import_module(module)).copy(), name, module, 0)
    return doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)


def test_there_are_examples():
    assert DOCTESTS


@pytest.mark.parametrize(("module", "name", "text"), DOCTESTS)
def test_examples(module, name, text):
    results = run(module, name, text)
    assert results.attempted > 0 and results.failed == 0


def test_a_wrong_example_fails():
    assert run("jaxalign.losses", "wrong", ">>> 1 + 1\n3").failed == 1
