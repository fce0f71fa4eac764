"""``model.json``: which model a run trains, beside its checkpoints."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from jaxalign.models import (
    ClassifierConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    MatchingConfig,
    ModelConfig,
    Origin,
    RewardConfig,
    RopeScaling,
)

NAME = "model.json"
KNOWN = (
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    RewardConfig,
    ClassifierConfig,
    MatchingConfig,
    RopeScaling,
    Origin,
)


def save_config(folder: str | pathlib.Path, config: ModelConfig) -> None:
    """Writes a model's config as ``model.json``.

    Args:
      folder: the folder of a run; it is made.
      config: the config.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(to_json(config), indent=2) + "\n", encoding="utf-8")


def load_config(folder: str | pathlib.Path) -> ModelConfig:
    """Returns the config that :func:`save_config` wrote.

    Args:
      folder: the folder of a run.

    Raises:
      FileNotFoundError: the folder holds none.
      ValueError: it has a class or fields that this release does not know.
    """
    file = pathlib.Path(folder) / NAME
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the folder of a run, which has {NAME} beside its checkpoints")
    return from_json(json.loads(file.read_text(encoding="utf-8")), KNOWN, file)


def to_json(value: Any) -> Any:
    """Returns a config as JSON: objects that name their class, tuples as lists.

    Args:
      value: a dataclass, a tuple of such, or what JSON holds.
    """
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {"class": type(value).__name__, **fields}


def from_json(value: Any, known: Sequence[type], file: pathlib.Path) -> Any:
    """Returns the config that :func:`to_json` was given.

    Args:
      value: the JSON.
      known: the classes that may be in it.
      file: where it is from, for the message of an error.

    Raises:
      ValueError: it has a class or fields that this release does not know.
    """
    if isinstance(value, list):
        return tuple(from_json(each, known, file) for each in value)
    if not isinstance(value, dict):
        return value
    found = {each.__name__: each for each in known}.get(value.get("class", ""))
    unknown = value.keys() - {"class", *(field.name for field in dataclasses.fields(found))} if found else {"class"}
    if unknown:
        raise ValueError(f"{file} has unknown fields {sorted(unknown)}; read it with the release that wrote it")
    return found(**{name: from_json(field, known, file) for name, field in value.items() if name != "class"})
