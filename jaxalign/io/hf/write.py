"""Models to Hugging Face directories."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Literal

import flax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

import jaxalign
from jaxalign.io.hf.card import PLAIN_CARD, ModelCard, render_card
from jaxalign.io.hf.config import config_to_json
from jaxalign.io.hf.json_files import save_json
from jaxalign.io.hf.tensors import Slot, abstract_params, slots
from jaxalign.io.hf.token_ids import changed_ids, generation_keys
from jaxalign.models import ModelConfig, backbone_config
from jaxalign.typing import Params

# This key of config.json says that a directory is an export, which a later one may replace.
MARK = "jaxalign_version"


def save_pretrained(
    directory: str | pathlib.Path,
    config: ModelConfig,
    params: Params,
    tokenizer: Any = None,
    *,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    max_shard_bytes: int | float = 5e9,
    card: ModelCard = PLAIN_CARD,
) -> pathlib.Path:
    """Writes a directory that transformers loads: safetensors, config, generation config, tokenizer and model card.

    The directory appears under its name when it is complete. An earlier export there is replaced. A reward model is
    written as transformers' sequence classifier with one label, and a classifier of texts as one with ``id2label`` and
    ``problem_type``. They pool in one way only: a decoder's last token, or a BERT's first through its pooler. They need
    a tokenizer whose padding is not its end of sequence for batches.

    A model that was loaded keeps what its config.json and generation_config.json say beyond what has been changed here,
    and a loaded tokenizer its files. Parameters with an output matrix of their own are written as untied.

    Args:
      directory: where to write; an earlier export there is replaced.
      config: the model's config.
      params: the parameters of ``models.build(config)``.
      tokenizer: a :class:`jaxalign.data.Tokenizer`; its files are written, and its token ids where the model came with
        another tokenizer. None: none is written.
      dtype: the dtype of the stored weights; None: that of the files that the model was loaded from, float32 for a new
        one.
      max_shard_bytes: weights beyond this are split into files of at most this size, as far as single tensors fit.
      card: title, description and metadata of the README.md.

    Returns:
      The directory.

    Raises:
      ValueError: the family, or transformers' classifier of it, cannot express ``config``; ``params`` are not its
        parameters, or too large for ``dtype``; or the tokenizer has more tokens than it.
      FileExistsError: ``directory`` holds something other than an export.
    """
    with exporting(directory, config, params, tokenizer, dtype=dtype, max_shard_bytes=max_shard_bytes, card=card):
        pass  # nothing beside it
    return pathlib.Path(directory)


@contextlib.contextmanager
def exporting(
    directory: str | pathlib.Path,
    config: ModelConfig,
    params: Params,
    tokenizer: Any = None,
    *,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    max_shard_bytes: int | float = 5e9,
    card: ModelCard = PLAIN_CARD,
) -> Iterator[pathlib.Path]:
    """:func:`save_pretrained` that gives the written folder before it gets its name, so that files can be added."""
    directory = pathlib.Path(directory)
    leaves = flax.traverse_util.flatten_dict(params, sep="/")
    if "unembedding" in leaves and getattr(config, "tied_embeddings", False):
        config = dataclasses.replace(config, tied_embeddings=False)
    keys, shapes = config_to_json(config), abstract_params(config)
    _check(config, leaves, shapes)
    network = backbone_config(config)
    if tokenizer is not None and tokenizer.vocab_size > network.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model rows for {network.vocab_size}; "
            f"pass the tokenizer that the model was trained with"
        )
    dtype = dtype or (network.origin.dtype if network.origin else None) or "float32"
    keys |= changed_ids(config, keys, tokenizer)
    keys |= {"dtype": dtype, MARK: jaxalign.__version__} | ({"torch_dtype": dtype} if "torch_dtype" in keys else {})
    with replacing(directory, _is_export) as folder:
        _save_weights(folder, slots(config, shapes), leaves, dtype, max_shard_bytes)
        save_json(folder / "config.json", keys)
        if (generation := generation_keys(config, tokenizer)) is not None:
            save_json(folder / "generation_config.json", generation)
        num_params = sum(leaf.size for leaf in leaves.values())
        (folder / "README.md").write_text(render_card(card, config, num_params, dtype), encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
        yield folder


def _check(config, leaves, expected):
    problems = [f"{path} is missing" for path in sorted(expected.keys() - leaves.keys())]
    problems += [f"{path} is unexpected" for path in sorted(leaves.keys() - expected.keys())]
    problems += [
        f"{path} has shape {leaves[path].shape}, expected {leaf.shape}"
        for path, leaf in expected.items()
        if path in leaves and leaves[path].shape != leaf.shape
    ]
    if problems:
        raise ValueError(f"params are not those of this {config.family} config: {'; '.join(problems)}")


@contextlib.contextmanager
def replacing(directory: pathlib.Path, is_export: Callable[[pathlib.Path], bool]) -> Iterator[pathlib.Path]:
    """A folder that takes the place of ``directory``, if that is an export or empty, once it is written."""
    directory = directory.resolve()
    if directory.exists() and not (directory.is_dir() and (not any(directory.iterdir()) or is_export(directory))):
        raise FileExistsError(f"{directory} exists and is not an earlier export; pass a new directory, or remove it")
    partial, old = (directory.with_name(f".{directory.name}.{state}") for state in ("partial", "old"))
    for leftover in partial, old:  # what an export that was killed has left
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if directory.exists():
        os.rename(directory, old)
    os.rename(partial, directory)
    shutil.rmtree(old, ignore_errors=True)


def _is_export(directory):
    config = directory / "config.json"
    return config.is_file() and MARK in json.loads(config.read_text(encoding="utf-8"))


def _save_weights(folder, places, leaves, dtype, max_shard_bytes):
    shards = _split(places, jnp.dtype(dtype).itemsize, max_shard_bytes)
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = {slot.prefix + slot.name: _taken(slot, leaves[slot.path], dtype) for slot in shard}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    if len(shards) > 1:
        size = sum(leaf.size for leaf in leaves.values()) * jnp.dtype(dtype).itemsize
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
        save_json(folder / "model.safetensors.index.json", index)


def _taken(slot: Slot, leaf: Any, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # which is reported below
        tensor = slot.take(leaf, dtype)
    if dtype == "float16" and not np.isfinite(tensor).all() and np.isfinite(slot.take(leaf, "float32")).all():
        raise ValueError(
            f"{slot.path} has weights beyond {np.finfo(np.float16).max:.0f}, the largest float16; "
            "pass dtype='bfloat16' or 'float32'"
        )
    return tensor


def _split(places: list[Slot], itemsize: int, max_bytes: int | float) -> list[list[Slot]]:
    """Tensors into files, those outside the layers first, then layer by layer."""
    shards, room = [], 0
    for slot in sorted(places, key=lambda slot: -1 if slot.layer is None else slot.layer):
        size = math.prod(slot.shape) * itemsize
        if not shards or size > room:
            shards.append([])
            room = max_bytes
        shards[-1].append(slot)
        room -= size
    return shards
