"""Models to Hugging Face directories."""

import contextlib
import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import flax
import jax.numpy as jnp
from safetensors.numpy import save_file

import jaxalign
from jaxalign.io.hf.card import PLAIN_CARD, ModelCard, render_card
from jaxalign.io.hf.config import config_to_json
from jaxalign.io.hf.tensors import Slot, abstract_params, slots
from jaxalign.models import LanguageModelConfig, ModelConfig, RewardConfig, backbone_config
from jaxalign.typing import Params

# In config.json: says that a directory is an export, which a later one may replace.
MARK = "jaxalign_version"


def save_pretrained(
    directory: str | pathlib.Path,
    config: ModelConfig,
    params: Params,
    tokenizer: Any = None,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    max_shard_bytes: int | float = 5e9,
    card: ModelCard = PLAIN_CARD,
) -> pathlib.Path:
    """Write a directory that transformers loads: safetensors, config, generation config, tokenizer and model card.

    The directory appears under its name when it is complete. An earlier export there is replaced. A reward model is
    written as transformers' sequence classifier with one label, which pools in one way only: a decoder's last token, or
    a BERT's first through its pooler. It needs a tokenizer whose padding is not its end of sequence to score batches.

    Args:
      tokenizer: a :class:`jaxalign.data.Tokenizer`; its files and token ids are written.
      dtype: of the stored weights.
      max_shard_bytes: weights beyond this are split into files of at most this size, as far as single tensors fit.

    Raises:
      ValueError: the family, or transformers' classifier of it, cannot express ``config``; ``params`` are not its
        parameters; or the tokenizer has more tokens than it.
      FileExistsError: ``directory`` holds something other than an export.
    """
    directory = pathlib.Path(directory)
    keys = config_to_json(config)
    leaves, shapes = flax.traverse_util.flatten_dict(params, sep="/"), abstract_params(config)
    _check(config, leaves, shapes)
    vocab_size = backbone_config(config).vocab_size
    if tokenizer is not None and tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model rows for {vocab_size}; "
            f"pass the tokenizer that the model was trained with"
        )
    ids = _token_ids(config, tokenizer)
    with replacing(directory, _is_export) as folder:
        _save_weights(folder, slots(config, shapes), leaves, dtype, max_shard_bytes)
        save_json(folder / "config.json", keys | ids | {"dtype": dtype, MARK: jaxalign.__version__})
        if isinstance(config, LanguageModelConfig):
            start = {key: keys[key] for key in ("decoder_start_token_id",) if key in keys}
            save_json(folder / "generation_config.json", ids | start)
        num_params = sum(leaf.size for leaf in leaves.values())
        (folder / "README.md").write_text(render_card(card, config, num_params, dtype), encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
    return directory


def _token_ids(config, tokenizer):
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_id", None) for name in ("bos", "eos", "pad")}
    if isinstance(config, RewardConfig) and ids["pad_token_id"] == ids["eos_token_id"]:
        # transformers reads a decoder's score at the last token that is not padding: at the one before the end of
        # sequence, if that is padding too. With no such id it scores one row at a time and refuses more.
        ids["pad_token_id"] = None
    return ids


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
    for leftover in partial, old:  # of an export that was killed
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
        tensors = {slot.prefix + slot.name: slot.take(leaves[slot.path], dtype) for slot in shard}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    if len(shards) > 1:
        size = sum(leaf.size for leaf in leaves.values()) * jnp.dtype(dtype).itemsize
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
        save_json(folder / "model.safetensors.index.json", index)


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


def save_json(file: pathlib.Path, keys: Mapping[str, Any]) -> None:
    """Indented, as transformers writes it."""
    file.write_text(json.dumps(keys, indent=2) + "\n", encoding="utf-8")
