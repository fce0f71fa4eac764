"""config.json to :class:`~jaxalign.models.DecoderConfig` and back."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxalign.io.hf.families import FAMILIES, TEXT_PARTS
from jaxalign.models import DecoderConfig

# How a model is run, which is not part of what it is.
RUNTIME = ("dtype", "remat", "attention")


def read_config(directory: str | pathlib.Path) -> DecoderConfig:
    """The config of the model in ``directory``.

    Raises:
      FileNotFoundError: no config.json.
      ValueError: it is of an unknown family, or asks for something that the decoder does not have.
    """
    file = pathlib.Path(directory) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the directory that holds a model's config.json")
    try:
        keys = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON ({error}); download or export it again") from error
    return config_from_json(keys)


def config_from_json(keys: Mapping[str, Any]) -> DecoderConfig:
    """What config.json's ``keys`` describe; its ``dtype`` becomes the compute dtype if that is bfloat16.

    Raises:
      ValueError: the family is unknown, a key is missing, or a value has no counterpart here.
    """
    if keys.get("model_type") in TEXT_PARTS:
        shared = ("tie_word_embeddings", "dtype", "torch_dtype")
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
    return canonical(DecoderConfig(**fields))


def config_to_json(config: DecoderConfig) -> dict[str, Any]:
    """config.json as transformers 5 reads it, without dtype and token ids.

    Raises:
      ValueError: the family is unknown, or its config.json cannot say what ``config`` says.
    """
    if config.family not in FAMILIES:
        raise ValueError(f"family {config.family!r} is not known; known are {', '.join(FAMILIES)}")
    family = FAMILIES[config.family]
    if family.whole_heads and config.width % config.num_heads:
        raise ValueError(
            f"transformers refuses a {config.family} model whose width ({config.width}) is not a multiple of its "
            f"number of heads ({config.num_heads}), whatever head_dim is; change one, or use another family"
        )
    keys = {"architectures": [family.architecture], "model_type": config.family}
    for part in family.parts:
        keys |= part.write(config)
    lost = _differences(canonical(config), config_from_json(keys))
    if lost:
        raise ValueError(
            f"a {config.family} config.json cannot express "
            + "; ".join(f"{name} = {ours!r} (it would read back as {theirs!r})" for name, ours, theirs in lost)
            + f"; change these or use another family of {', '.join(FAMILIES)}"
        )
    return keys


def canonical(config: DecoderConfig) -> DecoderConfig:
    """The same model in its shortest description, so that equal models have equal configs."""
    windows = config.layer_windows
    default_scale = config.query_scale is not None and math.isclose(config.query_scale, config.head_dim**-0.5)
    return dataclasses.replace(
        config,
        query_scale=None if default_scale else config.query_scale,
        window=config.window if any(windows) else None,
        windowed_layers=windows if any(windows) and not all(windows) else (),
    )


def _differences(ours: DecoderConfig, theirs: DecoderConfig) -> list[tuple[str, Any, Any]]:
    names = [field.name for field in dataclasses.fields(ours) if field.name not in RUNTIME]
    pairs = [(name, getattr(ours, name), getattr(theirs, name)) for name in names]
    return [pair for pair in pairs if not _equal(*pair[1:])]


def _equal(a, b):
    return math.isclose(a, b) if isinstance(a, float) and isinstance(b, float) else a == b
