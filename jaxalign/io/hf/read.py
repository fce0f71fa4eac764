"""Models from Hugging Face directories."""

import collections
import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterable
from typing import Any, Literal

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxalign.io.hf.config import read_config, with_network
from jaxalign.io.hf.families import FAMILIES
from jaxalign.io.hf.names import UNEMBEDDING
from jaxalign.io.hf.resolve import resolve
from jaxalign.io.hf.tensors import Slot, abstract_params, slots
from jaxalign.io.hf.weights import Stored, open_tensors
from jaxalign.models import LanguageModelConfig, ModelConfig, backbone_config
from jaxalign.typing import Params

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""The dtypes that are read, by safetensors' names."""
SHOWN = 8  # problems that an error lists


def load_pretrained(
    directory: str | pathlib.Path, *, dtype: Literal["float32", "bfloat16"] = "float32", shardings: Any = None
) -> tuple[ModelConfig, Params]:
    """Reads the config and the parameters of a pretrained model.

    Files are memory-mapped and read one tensor at a time: beyond what ends up on the devices, the host holds one
    parameter (of all layers) and one tensor. Vocabulary rows beyond the tokenizer's are kept, as in training. A
    sequence classifier with one label is a reward model, one with more is a classifier of texts; an encoder keeps its
    pooler where the files hold one. Heads of BERT's pretraining (``cls.*``) and stored constants are left out.

    Args:
      directory: a directory with config.json and safetensors, or a hub id such as ``"Qwen/Qwen3-0.6B"``, which is
        downloaded unless it is in the hub's cache.
      dtype: what the parameters get, whatever the files hold; the config's own ``dtype`` is what they are multiplied
        in, and its ``origin`` remembers that of the files.
      shardings: one sharding per parameter in a tree like the parameters; each is placed as soon as it is read.
        Make it from :func:`read_config` and ``jax.eval_shape`` of the model's ``init``. None: the default device.

    Returns:
      ``(config, params)``, for ``models.build(config)`` and its ``apply``.

    Raises:
      FileNotFoundError: no such directory, config or weights.
      ValueError: an unknown family, or tensors that are missing, misshapen, unexpected or of another dtype, all listed.
    """
    directory = resolve(directory)
    config = read_config(directory)
    shapes = abstract_params(config)
    places = slots(config, shapes)
    targets = _flat_shardings(shardings, shapes)
    params = {}
    with open_tensors(directory, FAMILIES[config.family].spelling) as stored:
        _check(config, places, stored, directory)
        for path, group in itertools.groupby(places, key=lambda slot: slot.path):
            leaf = np.empty(shapes[path].shape, jnp.dtype(dtype))
            for slot in group:
                slot.fill(leaf, stored[slot.name].read())
            params[path] = jax.device_put(leaf, targets[path])
        config = _with_dtype(config, [stored[slot.name] for slot in places])
    return config, flax.traverse_util.unflatten_dict(params, sep="/")


def _with_dtype(config: ModelConfig, tensors: list[Stored]) -> ModelConfig:
    """The config with the dtype that most weights have in the files, in which it will be exported."""
    elements = collections.Counter()
    for tensor in tensors:
        elements[DTYPES[tensor.dtype]] += math.prod(tensor.shape)
    network = backbone_config(config)
    origin = dataclasses.replace(network.origin, dtype=elements.most_common(1)[0][0])
    return with_network(config, dataclasses.replace(network, origin=origin))


def _flat_shardings(shardings, shapes):
    if shardings is None:
        return dict.fromkeys(shapes)
    flat = flax.traverse_util.flatten_dict(shardings, sep="/")
    if flat.keys() != shapes.keys():
        differing = sorted(flat.keys() ^ shapes.keys())
        raise ValueError(f"shardings and parameters differ at {differing}; give one sharding for each parameter")
    return flat


def _check(config: ModelConfig, places: list[Slot], stored: dict[str, Stored], directory: pathlib.Path) -> None:
    problems = unreadable(places, stored)
    spare = stored.keys() - {slot.name for slot in places}
    copies = FAMILIES[config.family].copies
    if isinstance(config, LanguageModelConfig) and not problems:
        for name in sorted(spare & copies.keys()):
            spare -= {name}
            problems += _check_copy(name, copies[name], stored)
    problems += unexpected(spare, stored)
    if problems:
        raise ValueError(
            f"the weights in {directory} are not those of the {config.family} model that its config.json describes:"
            + listing(problems)
        )


def unreadable(places: list[Slot], stored: dict[str, Stored]) -> list[str]:
    """What is wrong with the tensors for ``places``, in words: missing, misshapen, or of another dtype."""
    problems = []
    for slot in places:
        found = stored.get(slot.name)
        if found is None:
            problems.append(f"{slot.name}: expected shape {slot.stored_shape}, found none: it is missing")
        elif found.shape != slot.stored_shape:
            problems.append(f"{slot.name}: expected shape {slot.stored_shape}, found {found.shape}")
        elif found.dtype not in DTYPES:
            problems.append(f"{slot.name}: expected one of {', '.join(DTYPES)}, found {found.dtype}")
    return problems


def unexpected(names: Iterable[str], stored: dict[str, Stored]) -> list[str]:
    """The tensors that nothing is made of, in words."""
    return [f"{name}: unexpected, found shape {stored[name].shape}" for name in sorted(names)]


def listing(problems: list[str]) -> str:
    """The first problems on lines of their own, and how many there are beyond."""
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "\n  " + "\n  ".join(problems[:SHOWN]) + more


def _check_copy(name, original, stored):
    """Some files hold the embedding once more, as the output matrix or under a stack's name."""
    if np.array_equal(stored[original].read(), stored[name].read()):
        return []
    remedy = (
        'if the model should have both, set "tie_word_embeddings": false in config.json'
        if name == UNEMBEDDING
        else "convert the model again"
    )
    return [f"{name}: expected to equal {original}, found other values; {remedy}"]
