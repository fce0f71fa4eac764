"""JSON files of a model's directory."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any


def read_json(file: pathlib.Path) -> dict[str, Any] | None:
    """Returns what is in ``file``, None where there is no such file.

    Raises:
      ValueError: it is not JSON, or not an object.
    """
    if not file.is_file():
        return None
    try:
        keys = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); download or export it again") from error
    if not isinstance(keys, dict):
        raise ValueError(f"{file} holds a {type(keys).__name__}; expected an object")
    return keys


def save_json(file: pathlib.Path, keys: Mapping[str, Any]) -> None:
    """Writes ``keys`` to ``file``, indented as transformers does it."""
    file.write_text(json.dumps(keys, indent=2) + "\n", encoding="utf-8")


def without(keys: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The keys that are not among ``names``."""
    names = set(names)
    return {key: value for key, value in keys.items() if key not in names}
