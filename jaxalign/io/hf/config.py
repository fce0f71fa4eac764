"""config.json to the config of a model and back."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxalign.io.hf.families import FAMILIES, TEXT_PARTS
from jaxalign.io.hf.parts import refuse
from jaxalign.io.hf.weights import open_tensors
from jaxalign.models import DecoderConfig, EncoderConfig, ModelConfig, NetworkConfig, RewardConfig, backbone_config

# How a model is run, which is not part of what it is.
RUNTIME = ("dtype", "float8", "remat", "attention")
LABEL = "REWARD"


def read_config(directory: str | pathlib.Path) -> ModelConfig:
    """The config of the model in ``directory``, whose weights are asked for what config.json does not say.

    Raises:
      FileNotFoundError: no config.json, or no weights where they are asked.
      ValueError: it is of an unknown family, or asks for something that the models do not have.
    """
    file = pathlib.Path(directory) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the directory that holds a model's config.json")
    try:
        keys = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON ({error}); download or export it again") from error
    config = config_from_json(keys)
    family = FAMILIES[config.family]
    if not family.told_by_weights:
        return config
    network = backbone_config(config)
    with open_tensors(pathlib.Path(directory), family.spelling) as stored:
        found = {field: tell(network, stored) for field, tell in family.told_by_weights.items()}
    return _with_backbone(config, dataclasses.replace(network, **found))


def config_from_json(keys: Mapping[str, Any]) -> ModelConfig:
    """What config.json's ``keys`` describe; its ``dtype`` becomes the compute dtype if that is bfloat16.

    A sequence classifier is a reward model, if it has one label.

    Raises:
      ValueError: the family is unknown, a key is missing, or a value has no counterpart here.
    """
    if keys.get("model_type") in TEXT_PARTS:
        shared = ("tie_word_embeddings", "dtype", "torch_dtype", "architectures", "id2label")
        outer = {key: keys[key] for key in shared if keys.get(key) is not None}
        keys = keys.get("text_config", {}) | outer | {"model_type": TEXT_PARTS[keys["model_type"]]}
    name = keys.get("model_type")
    if name not in FAMILIES:
        raise ValueError(f"model_type {name!r} is not known; known are {', '.join([*FAMILIES, *TEXT_PARTS])}")
    family = FAMILIES[name]
    stored = keys.get("dtype") or keys.get("torch_dtype")
    fields = dict(family.fixed) | {"family": name, "dtype": "bfloat16" if stored == "bfloat16" else "float32"}
    keys = {**family.defaults, **keys}
    for part in family.parts:
        fields |= part.read(keys)
    network = canonical(family.config(**fields))
    if not str((keys.get("architectures") or [None])[0]).endswith("ForSequenceClassification"):
        return network
    if family.classifier is None:
        raise refuse(keys, "architectures", keys["architectures"], family.architecture)
    labels = keys.get("id2label") or dict.fromkeys(range(2))  # transformers' default
    if len(labels) != 1:
        raise refuse(keys, "id2label", labels, "one label, which makes a classifier a reward model")
    return RewardConfig(network, family.classifier.pooling)


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """config.json as transformers 5 reads it, without dtype and token ids.

    Raises:
      ValueError: the family is unknown, or its config.json cannot say what ``config`` says.
    """
    if config.family not in FAMILIES:
        raise ValueError(f"family {config.family!r} is not known; known are {', '.join(FAMILIES)}")
    if isinstance(config, RewardConfig):
        return config_to_json(config.backbone) | _classifier_keys(config)
    family = FAMILIES[config.family]
    if not isinstance(config, family.config):
        raise ValueError(
            f"a {config.family} model is described by {family.config.__name__}, got {type(config).__name__}"
        )
    if family.whole_heads and config.width % config.num_heads:
        raise ValueError(
            f"transformers refuses a {config.family} model whose width ({config.width}) is not a multiple of its "
            f"number of heads ({config.num_heads}), whatever head_dim is; change one, or use another family"
        )
    keys = {"architectures": [family.architecture], "model_type": config.family}
    for part in family.parts:
        keys |= part.write(config)
    unsaid = RUNTIME + tuple(family.told_by_weights)
    lost = _differences(canonical(config), config_from_json(keys), unsaid)
    if lost:
        raise ValueError(
            f"a {config.family} config.json cannot express "
            + "; ".join(f"{name} = {ours!r} (it would read back as {theirs!r})" for name, ours, theirs in lost)
            + f"; change these or use another family of {', '.join(FAMILIES)}"
        )
    return keys


def _classifier_keys(config):
    """What makes a classifier of the backbone's config.json, with one label."""
    classifier = FAMILIES[config.family].classifier
    if classifier is None:
        raise ValueError(
            f"transformers' classifier of a {config.family} model is not this reward model: it reads one text with "
            f"both stacks and has a layer with tanh; keep the model as a checkpoint (jaxalign.io.checkpoints)"
        )
    if config.pooling != classifier.pooling:
        raise ValueError(
            f"transformers' {classifier.architecture} cannot express pooling {config.pooling!r}, only "
            f"{classifier.pooling!r}; train with that, or keep the model as a checkpoint (jaxalign.io.checkpoints)"
        )
    if isinstance(config.backbone, EncoderConfig) and not config.backbone.pooler:
        raise ValueError(
            f"transformers' {classifier.architecture} has a pooler before its classifier, this backbone has none; "
            f"train with pooler=True in its EncoderConfig, or keep the model as a checkpoint (jaxalign.io.checkpoints)"
        )
    return {"architectures": [classifier.architecture], "id2label": {"0": LABEL}, "label2id": {LABEL: 0}}


def without_runtime(config: ModelConfig) -> ModelConfig:
    """The same model, run in the default way."""
    network = backbone_config(config)
    defaults = {field.name: field.default for field in dataclasses.fields(network) if field.name in RUNTIME}
    return _with_backbone(config, dataclasses.replace(network, **defaults))


def _with_backbone(config, network):
    return dataclasses.replace(config, backbone=network) if isinstance(config, RewardConfig) else network


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
