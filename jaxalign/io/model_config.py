"""``model.json``: which model a run trains, beside its checkpoints."""

import dataclasses
import json
import pathlib

from jaxalign.models import DecoderConfig, RopeScaling

NAME = "model.json"


def save_config(folder: str | pathlib.Path, config: DecoderConfig) -> None:
    """Write ``config`` as ``model.json`` into a run's folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n", encoding="utf-8")


def load_config(folder: str | pathlib.Path) -> DecoderConfig:
    """The config that :func:`save_config` wrote.

    Raises:
      FileNotFoundError: the folder holds none.
      ValueError: it has fields that this release does not know.
    """
    file = pathlib.Path(folder) / NAME
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the folder of a run, which has {NAME} beside its checkpoints")
    fields = json.loads(file.read_text(encoding="utf-8"))
    unknown = fields.keys() - {field.name for field in dataclasses.fields(DecoderConfig)}
    if unknown:
        raise ValueError(f"{file} has unknown fields {sorted(unknown)}; read it with the release that wrote it")
    if fields["rope_scaling"] is not None:
        fields["rope_scaling"] = RopeScaling(**fields["rope_scaling"])
    return DecoderConfig(**fields | {"windowed_layers": tuple(fields["windowed_layers"])})
