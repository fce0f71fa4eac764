"""Where each stored tensor lives in the parameters: names, and the layouts between files and arrays.

Files hold one tensor a layer, and a linear map as ``[outputs, inputs]`` with heads flattened; parameters stack the
layers on a leading axis, and their maps go from leading to trailing axes.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxalign.io.hf.families import FAMILIES
from jaxalign.models import Decoder, DecoderConfig

MAPS = {  # of a layer: theirs, and how many leading axes of ours are the inputs
    "attention/query": ("self_attn.q_proj", 1),
    "attention/key": ("self_attn.k_proj", 1),
    "attention/value": ("self_attn.v_proj", 1),
    "attention/output": ("self_attn.o_proj", 2),
    "mlp/gate": ("mlp.gate_proj", 1),
    "mlp/up": ("mlp.up_proj", 1),
    "mlp/down": ("mlp.down_proj", 1),
}
HEAD_NORMS = {"attention/query_norm": "self_attn.q_norm", "attention/key_norm": "self_attn.k_norm"}
EMBEDDING, UNEMBEDDING = "model.embed_tokens.weight", "lm_head.weight"

# The text part of a multimodal model carries one of these prefixes, depending on the release that wrote it.
TEXT_PREFIXES = (("language_model.model.", "model."), ("model.language_model.", "model."), ("language_model.", ""))
# Vision parts, and constants that old releases stored.
IGNORED = re.compile(r"(model\.)?(vision_tower|multi_modal_projector)\.|.*\.rotary_emb\.inv_freq$")


class Slot(NamedTuple):
    """One stored tensor and its place: all of the parameter at ``path``, or one layer of it."""

    name: str
    path: str
    layer: int | None
    shape: tuple[int, ...]  # of the place
    inputs: int | None  # leading axes of the place that are inputs of a linear map; None: stored as it is

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """What the file holds."""
        return self._flat_shape[::-1]

    @property
    def _flat_shape(self):
        if self.inputs is None:
            return self.shape[::-1]
        sizes = self.shape[: self.inputs], self.shape[self.inputs :]
        return tuple(math.prod(part) for part in sizes if part)

    def fill(self, leaf: np.ndarray, stored: np.ndarray) -> None:
        """Write a tensor of the file into its place in ``leaf``, casting it."""
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


def abstract_params(config: DecoderConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the parameters by path, such as ``"layers/attention/query"``, without making them."""
    model = Decoder(dataclasses.replace(config, dtype="float32", remat="none", attention="xla"))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32)))["params"]
    return flax.traverse_util.flatten_dict(params, sep="/")


def slots(config: DecoderConfig, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> list[Slot]:
    """Every stored tensor of a model, given :func:`abstract_params`: parameter by parameter, layer by layer."""
    names = _names(config.family)
    found = []
    for path, leaf in shapes.items():
        template, inputs = names[path]
        if path.startswith("layers/"):
            layers = range(config.num_layers)
            found += [Slot(template.format(i), path, i, leaf.shape[1:], inputs) for i in layers]
        else:
            found.append(Slot(template, path, None, leaf.shape, inputs))
    return found


def _names(family: str) -> dict[str, tuple[str, int | None]]:
    """Stored name and number of input axes by path; ``{}`` stands for the layer."""
    layer = "model.layers.{}."
    names = {"embedding": (EMBEDDING, None), "unembedding": (UNEMBEDDING, 1)}
    names["final_norm/scale"] = "model.norm.weight", None
    for ours, (theirs, inputs) in MAPS.items():
        names[f"layers/{ours}"] = f"{layer}{theirs}.weight", inputs
        names[f"layers/{ours}_bias"] = f"{layer}{theirs}.bias", 0
    for ours, theirs in {**HEAD_NORMS, **FAMILIES[family].norms}.items():
        names[f"layers/{ours}/scale"] = f"{layer}{theirs}.weight", None
    return names


def plain_name(name: str) -> str:
    """A stored name without the prefix of a multimodal model."""
    for prefix, replacement in TEXT_PREFIXES:
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name
