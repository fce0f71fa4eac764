"""The installed jax multiplies and sums rightly on CPU, as users run it: with XLA's default optimisations.

jax 0.10.2 silently gives wrong values for a matrix-vector product followed by a sum, vmapped and jitted, beyond a
number of rows (https://github.com/jax-ml/jax/issues/39103): from 16,385 in float64 and 32,769 in float32. There each
error of this probe is 72 or more.
"""

import json
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.architecture import subprocesses

PROBE = """
import json, jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)

def error(dtype, rows, matrix):
    # Small whole numbers: products and sums are exact in both dtypes.
    x = np.random.default_rng(0).integers(-9, 10, (rows, matrix.shape[1])).astype(dtype)
    f = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.asarray(matrix, dtype) @ row) ** 2)))
    expected = ((x.astype(np.float64) @ matrix.T) ** 2).sum(axis=1)
    return float(np.abs(np.asarray(f(x), np.float64) - expected).max())

shift = np.roll(np.eye(3), 1, axis=0)
cases = [("float64", 16_385), ("float32", 32_769)]
print(json.dumps([error(dtype, rows, matrix) for dtype, rows in cases for matrix in (np.eye(3), np.eye(3) + shift)]))
"""


def test_product_and_sum_over_many_rows():
    result = subprocesses.run("-c", PROBE)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [0.0] * 4


def jax_requirements():
    project = tomllib.loads((subprocesses.ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [line for line in lines if Requirement(line).name == "jax"]


def test_every_extra_asks_for_jax_through_a_checked_line():
    assert sorted("".join(sorted(Requirement(line).extras)) for line in jax_requirements()) == ["", "cuda", "tpu"]


@pytest.mark.parametrize("line", jax_requirements())
def test_the_wrong_build_is_excluded(line):
    allowed = Requirement(line).specifier
    assert not allowed.contains("0.10.2")
    assert allowed.contains("0.10.1") and allowed.contains("0.11.0")
