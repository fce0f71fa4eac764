"""The config of a model, read from config.json and written to it."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxalign.data.text.tokenizer_files import digest_files, read_tokenizer_files
from jaxalign.io.hf.families import FAMILIES, TEXT_PARTS, Family
from jaxalign.io.hf.heads import HEAD_KEYS, is_classifier, read_head, write_head
from jaxalign.io.hf.json_files import read_json, without
from jaxalign.io.hf.weights import open_tensors
from jaxalign.models import (
    DecoderConfig,
    HeadConfig,
    ModelConfig,
    NetworkConfig,
    Origin,
    backbone_config,
)

# How a model is run, which is not part of what it is.
RUNTIME = ("dtype", "float8", "remat", "attention")
UNSAID = (*RUNTIME, "origin")
# Keys beside a larger model's text_config that are about its text part.
SHARED_KEYS = ("tie_word_embeddings", "dtype", "torch_dtype", "architectures", *HEAD_KEYS)
CODE_KEYS = ("auto_map",)  # names of program files, which do not come with a model
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
DTYPES = ("float32", "bfloat16", "float16")


def read_config(directory: str | pathlib.Path) -> ModelConfig:
    """Returns the config of the model in ``directory``; what config.json does not say is found in its weights.

    Args:
      directory: a model's directory, with config.json and safetensors. ``hf.resolve`` makes one of a hub id.

    Raises:
      FileNotFoundError: no config.json, or no weights where they are asked.
      ValueError: it is of an unknown family, or asks for something that the models do not have.
    """
    directory = pathlib.Path(directory)
    keys = read_json(directory / "config.json")
    if keys is None:
        raise FileNotFoundError(
            f"{directory / 'config.json'} is missing; pass the directory that holds a model's config.json"
        )
    config = config_from_json(keys)
    network = backbone_config(config)
    generation = read_json(directory / "generation_config.json")
    origin = dataclasses.replace(
        network.origin,
        generation=None if generation is None else json.dumps(generation),
        tokenizer=digest_files(read_tokenizer_files(directory)),
    )
    network = dataclasses.replace(network, origin=origin)
    if told := FAMILIES[config.family].told_by_weights:
        with open_tensors(directory, FAMILIES[config.family].spelling) as stored:
            found = {field: tell(network, stored) for field, tell in told.items()}
        network = dataclasses.replace(network, **found)
    return with_network(config, network)


def config_from_json(keys: Mapping[str, Any]) -> ModelConfig:
    """Returns the config of the model that config.json describes.

    A sequence classifier with one label is a reward model, and with more it is a classifier of texts. The file's
    ``dtype`` becomes the compute dtype if it is bfloat16. The config's ``origin`` holds what is not modelled.

    Args:
      keys: the contents of config.json.

    Raises:
      ValueError: the family is unknown, a key is missing, or a value has no counterpart here.
    """
    keys = _modelled_part(keys)
    network = _read_network(keys)
    if not is_classifier(keys):
        return network
    return read_head(keys, network)


def _modelled_part(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a larger model's text part, with those beside it that are about it; of another model, all."""
    name = keys.get("model_type")
    if name not in TEXT_PARTS:
        return dict(keys)
    inner = keys.get("text_config") or {}
    shared = [*SHARED_KEYS, *(key for key in TOKEN_IDS if inner.get(key) is None)]
    beside = {key: keys[key] for key in shared if keys.get(key) is not None}
    return {**inner, **beside, "model_type": TEXT_PARTS[name]}


def _read_network(keys: Mapping[str, Any]) -> NetworkConfig:
    name = keys.get("model_type")
    if name not in FAMILIES:
        raise ValueError(f"model_type {name!r} is not known; known are {', '.join([*FAMILIES, *TEXT_PARTS])}")
    family = FAMILIES[name]
    stored = keys.get("dtype") or keys.get("torch_dtype")
    fields = dict(family.fixed) | {"family": name, "dtype": "bfloat16" if stored == "bfloat16" else "float32"}
    said = {**family.defaults, **keys}
    for part in family.parts:
        fields |= part.read(said)
    origin = Origin(json.dumps(keys), dtype=stored if stored in DTYPES else None)
    return canonical(family.config(**fields, origin=origin))


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """Returns the contents of config.json as transformers 5 reads it.

    A config that was read from a file keeps what the file says, in its spelling, wherever it still says what the config
    is; dtype and token ids are those of the file.

    Args:
      config: that of a network, or of a reward model or classifier, which become sequence classifiers.

    Raises:
      ValueError: the family is unknown, or its config.json cannot say what ``config`` says.
    """
    network, keys = backbone_config(config), stated_keys(config)
    family = _family_of(network)
    was_classifier = is_classifier(keys)
    keys = _written(network, family, keys)
    if isinstance(config, HeadConfig):
        return write_head(config, keys, was_classifier)
    return without(keys, HEAD_KEYS) if was_classifier else keys


def stated_keys(config: ModelConfig) -> dict[str, Any]:
    """What config.json said where ``config`` was read from; nothing if it is new."""
    origin = backbone_config(config).origin
    return {} if origin is None else without(json.loads(origin.config), CODE_KEYS)


def _family_of(network: NetworkConfig) -> Family:
    if network.family not in FAMILIES:
        raise ValueError(f"family {network.family!r} is not known; known are {', '.join(FAMILIES)}")
    family = FAMILIES[network.family]
    if not isinstance(network, family.config):
        raise ValueError(
            f"a {network.family} model is described by {family.config.__name__}, got {type(network).__name__}"
        )
    if family.heads_divide_width and network.width % network.num_heads:
        raise ValueError(
            f"transformers refuses a {network.family} model whose width ({network.width}) is not a multiple of its "
            f"number of heads ({network.num_heads}), whatever head_dim is; change one, or use another family"
        )
    return family


def _written(network: NetworkConfig, family: Family, stated: dict[str, Any]) -> dict[str, Any]:
    """The network's config.json: ``stated``, of which each part that no longer fits is written anew."""
    before = _read_network(stated) if stated else None
    keys = stated | {"architectures": [family.architecture], "model_type": network.family}
    if before is not None and before.family != network.family:
        keys = without(keys, [name for part in FAMILIES[before.family].parts for name in part.names])
        before = None
    now = canonical(network)
    for part in family.parts:
        fields = () if before is None else part.read({**family.defaults, **stated})
        if before is None or not all(_equal(getattr(before, name), getattr(now, name)) for name in fields):
            keys = without(keys, part.names) | part.write(network)
    lost = _differences(now, _read_network(keys), (*UNSAID, *family.told_by_weights))
    if lost:
        raise ValueError(
            f"a {network.family} config.json cannot express "
            + "; ".join(f"{name} = {ours!r} (it would read back as {theirs!r})" for name, ours, theirs in lost)
            + f"; change these or use another family of {', '.join(FAMILIES)}"
        )
    return keys


def without_runtime(config: ModelConfig) -> ModelConfig:
    """The same model, run in the default way."""
    network = backbone_config(config)
    defaults = {field.name: field.default for field in dataclasses.fields(network) if field.name in RUNTIME}
    return with_network(config, dataclasses.replace(network, **defaults))


def with_network(config: ModelConfig, network: NetworkConfig) -> ModelConfig:
    """The config with this network in the place of its own."""
    return dataclasses.replace(config, backbone=network) if isinstance(config, HeadConfig) else network


def canonical(config: NetworkConfig) -> NetworkConfig:
    """The same model in its shortest description, so that equal models have equal configs."""
    if not isinstance(config, DecoderConfig):
        return config
    windows = config.layer_windows
    default_scale = config.query_scale is not None and math.isclose(config.query_scale, config.head_dim**-0.5)
    return dataclasses.replace(
        config,
        query_scale=None if default_scale else config.query_scale,
        window=config.window if any(windows) else None,
        windowed_layers=windows if any(windows) and not all(windows) else (),
    )


def _differences(ours, theirs, unsaid: tuple[str, ...]) -> list[tuple[str, Any, Any]]:
    names = [field.name for field in dataclasses.fields(ours) if field.name not in unsaid]
    pairs = [(name, getattr(ours, name), getattr(theirs, name)) for name in names]
    return [pair for pair in pairs if not _equal(*pair[1:])]


def _equal(a, b):
    return math.isclose(a, b) if isinstance(a, float) and isinstance(b, float) else a == b
