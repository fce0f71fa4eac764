"""The tests' checks of types are at work, with shapes and without."""

from collections.abc import Callable, Iterator
from typing import Literal

import beartype.roar
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from jaxalign import losses, protein
from jaxalign.protein.annotations import entry_name
from tests.checked import names_shapes


def test_functions_without_shapes_are_checked():
    with pytest.raises(beartype.roar.BeartypeCallHintViolation, match="entry_name.. parameter name=3"):
        entry_name(3)
    assert not hasattr(entry_name.__wrapped__, "__wrapped__")  # once


def test_functions_with_shapes_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError, match="softmax_loss"):
        losses.softmax_loss(jnp.zeros((2, 3)), jnp.zeros((2, 4)))


def test_classes_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError, match="Task"):
        protein.Task(3, "graph")


@pytest.mark.parametrize(
    "hint",
    [
        Float[Array, "B"],
        Float[np.ndarray, "B"] | None,
        dict[str, Float[Array, ""]],
        Callable[[Float[Array, ""]], int],
        Callable[[int], Float[Array, ""]],
        PRNGKeyArray,
        PyTree,
        PyTree[int],
        "Float[Array, 'B']",
    ],
)
def test_hints_with_shapes(hint):
    assert names_shapes(hint)


@pytest.mark.parametrize("hint", [int, str | None, Array, Iterator[tuple[int, ...]], Literal["a"], "Name", None])
def test_hints_without(hint):
    assert not names_shapes(hint)
