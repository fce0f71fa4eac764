"""Imports cost what they must: laziness is proven in fresh interpreters."""

import importlib
import json
import pathlib

import pytest

import jaxalign
from tests.architecture import subprocesses

PACKAGE = pathlib.Path(jaxalign.__file__).parent
PARTS = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
LIGHT = {"lazy_loader", "packaging"}  # what loads the rest on first use
PUBLIC = sorted({path.stem for path in PARTS} - {"__init__"})


def loaded_by(statement: str, *, after: str = "") -> set[str]:
    """Top-level third-party packages that ``statement`` loads and that ``after`` and a bare start did not."""
    code = f"""
import json, sys
{after}
before = set(sys.modules)
{statement}
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new - set(sys.stdlib_module_names) - {{"jaxalign"}})))
"""
    result = subprocesses.run("-c", code)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def test_the_probe_sees_what_is_loaded():
    assert "numpy" in loaded_by("import numpy")


@pytest.mark.parametrize("statement", ["import jaxalign", "from jaxalign import data, io"])
def test_nothing_heavy_at_import(statement):
    assert loaded_by(statement) <= LIGHT


def test_quantisation_is_loaded_where_it_is_used():
    assert "qwix" not in loaded_by("from jaxalign import models, sampling, training")


@pytest.mark.parametrize("name", ["augment", "losses", "metrics"])
def test_pure_functions_need_only_jax_and_optax(name):
    core = "import jax, jax.numpy, jaxtyping, numpy, optax"
    assert loaded_by(f"from jaxalign import {name}", after=core) <= {"jax", "jaxlib", *LIGHT}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist(name):
    """Every subpackage is an attribute of ``jaxalign`` and has each name that it lists."""
    module = getattr(jaxalign, name)
    assert module is importlib.import_module(f"jaxalign.{name}")
    assert name in dir(jaxalign)
    missing = [public for public in getattr(module, "__all__", dir(module)) if not hasattr(module, public)]
    assert not missing


def test_unknown_names_are_errors():
    with pytest.raises(AttributeError, match="No jaxalign attribute loses"):
        _ = jaxalign.loses
