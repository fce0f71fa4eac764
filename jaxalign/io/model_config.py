"""``model.json``: which model a run trains, beside its checkpoints."""

import dataclasses
import json
import pathlib
from typing import Any

from jaxalign.models import (
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    ModelConfig,
    RewardConfig,
    RopeScaling,
)

NAME = "model.json"
KNOWN = DecoderConfig, EncoderConfig, EncoderDecoderConfig, RewardConfig, RopeScaling
CLASSES = {known.__name__: known for known in KNOWN}


def save_config(folder: str | pathlib.Path, config: ModelConfig) -> None:
    """Write ``config`` as ``model.json`` into a run's folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(_to_json(config), indent=2) + "\n", encoding="utf-8")


def load_config(folder: str | pathlib.Path) -> ModelConfig:
    """The config that :func:`save_config` wrote.

    Raises:
      FileNotFoundError: the folder holds none.
      ValueError: it has a class or fields that this release does not know.
    """
    file = pathlib.Path(folder) / NAME
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the folder of a run, which has {NAME} beside its checkpoints")
    return _from_json(json.loads(file.read_text(encoding="utf-8")), file)


def _to_json(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: _to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {"class": type(value).__name__, **fields}


def _from_json(value: Any, file: pathlib.Path) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    known = CLASSES.get(value.get("class", ""))
    unknown = value.keys() - {"class", *(field.name for field in dataclasses.fields(known))} if known else {"class"}
    if unknown:
        raise ValueError(f"{file} has unknown fields {sorted(unknown)}; read it with the release that wrote it")
    return known(**{name: _from_json(field, file) for name, field in value.items() if name != "class"})
