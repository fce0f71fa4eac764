"""The folder of a run: what it was made with, and the refusal to go on in it with anything else.

``config.json`` has the settings. ``run.json`` says which experiment they are of, and has hashes of the files and models
that they name: the same path with other content is another run. A run whose results are in a folder is continued, or
reported once more, with the same settings only; a folder without results is anybody's.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxalign.files import write_json
from jaxalign.io import hf, keys
from jaxalign.io.cluster import processes
from jaxalign.io.hf.resolve import FILES
from jaxalign.io.keys import Key

CONFIG, RUN = "config.json", "run.json"
FORMAT = 1  # of a run's folder
RESULTS = (
    *("report.html", "labels.jsonl", "**/metrics.jsonl", "**/predictions.jsonl", "**/served/*.npz"),
    *("**/checkpoints/[0-9]*", "**/policies/*.safetensors"),
)
ANSWERS = "answers.jsonl"
"""Answers of language models have keys of their own, and are no results of this or that run."""


def open_run(
    directory: pathlib.Path,
    config: Any,
    *,
    experiment: str,
    may_differ: Collection[str] = (),
    files: Mapping[str, Sequence[str]] | None = None,
    models: Sequence[str] = (),
) -> Key:
    """Notes in a folder what a run is made with, before anything else is written there.

    With several processes, process 0 looks and writes.

    Args:
      directory: the folder; it is made.
      config: a dataclass; its fields are the settings.
      experiment: its name.
      may_differ: fields that change nothing that exists, such as how many seeds there are.
      files: fields that name a file or a folder, or several in a tuple, and which files of a folder are read, as
        patterns. Their content counts, and where they lie does not.
      models: fields that name a model, a directory in Hugging Face format or a hub id. The same holds.

    Returns:
      The key of the run: its experiment, settings, and hashes of its inputs.

    Raises:
      ValueError: the folder has results of other settings, naming what differs, or of unknown ones.
    """
    return processes.first(lambda: _open(directory, config, experiment, set(may_differ), files or {}, models))


def _open(directory, config, experiment: str, may_differ: set[str], files, models) -> Key:
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    key = {"experiment": experiment, keys.FORMAT: FORMAT, "inputs": _inputs(config, files, models)}
    if results := _results(directory):
        if changed := _changes(_read(directory, results), key, settings, may_differ, _defaults(config)):
            raise ValueError(f"{directory} holds a run with other settings: {', '.join(changed)}. {_remedy(directory)}")
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / CONFIG, settings)
    write_json(directory / RUN, key)
    return {**key, **settings}


def _changes(before: Mapping[str, Key], key: Key, settings: Key, may_differ: set[str], defaults: Key) -> list[str]:
    """Content is compared where it was looked at both times, paths and names where it was not."""
    both = before["key"]["inputs"].keys() & key["inputs"].keys()
    seen = [{**each, "inputs": {name: each["inputs"][name] for name in both}} for each in (before["key"], key)]
    # A release that lacked a field did what its default does.
    sides = {**defaults, **before["settings"]}, settings
    old, new = ({name: side.get(name) for name in settings.keys() - may_differ - both} for side in sides)
    gone = {name: value for name, value in before["settings"].items() if name not in settings}
    return keys.changes({**seen[0], **old, **gone}, {**seen[1], **new})


def _results(directory: pathlib.Path) -> list[pathlib.Path]:
    """Files and folders that a run left as results; a file that is empty is none."""
    found = (path for pattern in RESULTS for path in directory.glob(pattern))
    return [path for path in found if path.is_dir() or path.stat().st_size]


def _read(directory: pathlib.Path, results: Sequence[pathlib.Path]) -> dict[str, Any]:
    """The settings and the rest of the key of the run that is there."""
    some = f"{directory} has results ({results[0].relative_to(directory)}, ...)"
    parts = {}
    for part, name in (("settings", CONFIG), ("key", RUN)):
        if not (directory / name).is_file():
            reason = "nobody knows what made them" if name == CONFIG else "an older release made them, which wrote none"
            raise ValueError(f"{some} without {name}: {reason}. {_remedy(directory)}")
        try:
            parts[part] = json.loads((directory / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{some}, but {name} is not JSON: {error}. {_remedy(directory)}") from error
    if parts["key"].get(keys.FORMAT) != FORMAT:
        raise ValueError(
            f"{directory / RUN} has the format {parts['key'].get(keys.FORMAT)!r}, and this release writes {FORMAT}. "
            f"{_remedy(directory)}"
        )
    return parts


def _remedy(directory: pathlib.Path) -> str:
    more = (
        f". What a model said is kept by itself: with {ANSWERS} copied into the other folder it is not paid again"
        if (directory / ANSWERS).is_file()
        else ""
    )
    return f"Nothing was changed: take another folder (--output), or delete this one to begin anew{more}"


def _inputs(config: Any, files: Mapping[str, Sequence[str]], models: Sequence[str]) -> Key:
    inputs: Key = {}
    for name, patterns in files.items():
        path = getattr(config, name)
        if isinstance(path, tuple):
            inputs[name] = {str(n): keys.of_files(each, patterns or ("**/*",)) for n, each in enumerate(_there(path))}
        elif path is not None and pathlib.Path(path).exists():  # what is missing is told by whoever reads it
            inputs[name] = keys.of_files(path, patterns)
    for name in models:
        model = getattr(config, name)
        is_directory = bool(model) and pathlib.Path(model).is_dir()
        if is_directory or re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            inputs[name] = keys.of_files(hf.resolve(model), FILES)
    return inputs


def _there(paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    return [path for path in paths if path.exists()]


def _defaults(config: Any) -> dict[str, Any]:
    fields = {
        field.name: field.default for field in dataclasses.fields(config) if field.default is not dataclasses.MISSING
    }
    return json.loads(json.dumps(fields, default=str))
