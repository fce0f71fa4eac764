"""Where each stored tensor lives in the parameters: names, and the layouts between files and arrays.

Files hold one tensor a layer, and a linear map as ``[outputs, inputs]`` with heads flattened; parameters stack the
layers on a leading axis, and their maps go from leading to trailing axes.
"""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import models
from jaxalign.io.hf.config import without_runtime
from jaxalign.io.hf.families import FAMILIES
from jaxalign.io.hf.heads import check_class
from jaxalign.io.hf.names import linear
from jaxalign.models import ModelConfig
from jaxalign.sharding.rules import STACK

HEADS = {models.RewardConfig: "head/reward", models.ClassifierConfig: "head/classes"}
"""The path of a head's linear map among the parameters."""


class Slot(NamedTuple):
    """One stored tensor and its place: all of the parameter at ``path``, or one layer of it."""

    name: str  # plain
    path: str
    layer: int | None
    shape: tuple[int, ...]  # the shape of the place
    inputs: int | None  # leading axes of the place that are inputs of a linear map; None: stored as it is
    prefix: str = ""  # what stands before the name in files that are written

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the tensor in the file."""
        return self._flat_shape[::-1]

    @property
    def _flat_shape(self):
        if self.inputs is None:
            return self.shape[::-1]
        sizes = self.shape[: self.inputs], self.shape[self.inputs :]
        return tuple(math.prod(part) for part in sizes if part)

    def fill(self, leaf: np.ndarray, stored: np.ndarray) -> None:
        """Writes a tensor of the file into its place in ``leaf``, casting it."""
        place = leaf if self.layer is None else leaf[self.layer]
        if self.inputs is not None:
            # A view: the place is contiguous.
            place, stored = place.reshape(self._flat_shape), stored.T
        np.copyto(place, stored, casting="unsafe")

    def take(self, leaf: jax.Array | np.ndarray, dtype: str) -> np.ndarray:
        """The tensor for the file out of ``leaf``: contiguous, since safetensors writes memory as it lies."""
        place = np.asarray(leaf if self.layer is None else leaf[self.layer])
        if self.inputs is not None:
            place = place.reshape(self._flat_shape).T
        return np.ascontiguousarray(place, dtype=jnp.dtype(dtype))


def abstract_params(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the parameters by path, such as ``"layers/attention/query"``, without making them."""
    return dict(_shapes(config))


@functools.lru_cache(maxsize=64)
def _shapes(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes, cached: reading and writing a model asks for them several times, and to find them it is traced."""
    model = models.build(without_runtime(config))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32)))["params"]
    return flax.traverse_util.flatten_dict(params, sep="/")


def slots(config: ModelConfig, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> list[Slot]:
    """Every stored tensor of a model, given :func:`abstract_params`: parameter by parameter, layer by layer."""
    family = FAMILIES[config.family]
    names, prefixes = dict(family.names), dict.fromkeys(family.names, "")
    if isinstance(config, models.HeadConfig):
        check_class(config)
        names = {f"backbone/{path}": name for path, name in family.names.items()}
        prefixes = dict.fromkeys(names, family.classifier.prefix)
        names |= linear(HEADS[type(config)], family.classifier.head)
    found = []
    for path, leaf in shapes.items():
        name, prefix = names[path], prefixes.get(path, "")
        if f"/{STACK}/" in f"/{path}":
            layers = range(leaf.shape[0])
            found += [Slot(name.template.format(i), path, i, leaf.shape[1:], name.inputs, prefix) for i in layers]
        else:
            found.append(Slot(name.template, path, None, leaf.shape, name.inputs, prefix))
    return found
