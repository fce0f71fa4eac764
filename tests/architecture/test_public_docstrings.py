"""Whatever users import says what it does in a sentence, and a function says what it takes and gives, by itself."""

import importlib
import inspect
import re

import pytest

SUBPACKAGES = (
    "attributes augment data ensemble judge losses metrics models planning prompting protein sampling serving sharding "
    "taxonomy training".split()
)
SUBPACKAGES += ["io.cluster", "io.hf", "io.jobs", "io.llm", "io.report", "io.run"]
# A model is any module with the methods that the function calls.
DUCK_TYPED = {"model", "teacher"}


def public_objects():
    for subpackage in SUBPACKAGES:
        module = importlib.import_module(f"jaxalign.{subpackage}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or hasattr(value, "__wrapped__") or inspect.isfunction(value):
                yield pytest.param(value, id=f"{subpackage}.{name}")


OBJECTS = list(public_objects())
FUNCTIONS = [param for param in OBJECTS if not inspect.isclass(param.values[0])]


def test_the_lists_are_not_empty():
    assert len(FUNCTIONS) > 60 and len(OBJECTS) > len(FUNCTIONS)


@pytest.mark.parametrize("value", OBJECTS)
def test_docstring(value):
    """Of its own: NamedTuples and dataclasses without one get their signature as docstring."""
    assert value.__doc__ and value.__doc__.strip()
    assert not value.__doc__.startswith(f"{value.__name__}(")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_annotations(function):
    signature = inspect.signature(function)
    missing = {name for name, parameter in signature.parameters.items() if parameter.annotation is inspect._empty}
    assert missing <= DUCK_TYPED
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("value", OBJECTS)
def test_docstring_begins_with_a_sentence(value):
    assert not re.match(r"(Of|By|As|From|With|For|In|On|To)\b", value.__doc__.strip())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_docstring_stands_alone(function):
    """Each parameter is explained where it is taken, not in another module."""
    parameters = inspect.signature(function).parameters
    assert not parameters or "Args:" in function.__doc__
    assert {name for name in parameters if not re.search(rf"\b{name}\b", function.__doc__)} == set()
    assert not re.search(r"(?i)\barg(ument)?s( are|:)? as (in|for|there|of)\b", function.__doc__)
