"""What was run on what: the facts that every report opens with, and the command that runs it again."""

import hashlib
import pathlib
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from experiments.common import fields, machines
from jaxalign.data.readers import files
from jaxalign.io.cluster import launch, machine
from jaxalign.io.report import Code, Facts

TITLE = "What was run on what"
MODELS = ("model", "backbone", "student", "teacher", "generator", "endpoint")
"""Fields that name a model or where it is served."""
_TABLES = (".parquet", ".json", ".jsonl", ".gz", ".zst", ".csv", ".tsv", ".txt")
_CHUNK = 2**20


class Run(NamedTuple):
    """A run that has begun."""

    module: str
    presets: Mapping[str, Any]
    config: Any
    data: list[str]
    clock: float  # seconds
    continued: bool


def begin(module: str, presets: Mapping[str, Any], config: Any) -> Run:
    """Checks the config and notes what runs on what since when; the first thing that an experiment does.

    Args:
      module: its name as ``python -m`` takes it.

    Raises:
      ValueError: numbers or URLs that no run can come of, see :func:`experiments.common.fields.check`.
    """
    fields.check(config)
    data = list(_data(config)) if launch.is_main() else []
    return Run(module, presets, config, data, time.monotonic(), (config.output / "config.json").exists())


def facts(run: Run, *, model: str = "", told: Mapping[str, Any] | None = None) -> Facts:
    """Returns the first section of a report.

    Args:
      model: which, where the config does not name one.
      told: what else the experiment has to say, by name: how options were scored, what a model was asked for.
    """
    preset = preset_of(run.presets, run.config)
    took = f"{_duration(time.monotonic() - run.clock)}" + (" since the last start, which continued" * run.continued)
    return Facts(
        TITLE,
        {
            "command": Code(command(run.module, run.presets, run.config)),
            "preset": preset,
            "fields that differ from it": list(differences(run.presets[preset], run.config)) or "none",
            "model": list(_models(run.config)) or model or _from_scratch(run.config),
            "data": run.data or f"made on the spot for each seed (task {run.config.task})",
            **(told or {}),
            "code": machine.describe_code(),
            "versions": machine.describe_versions(),
            "hardware": machine.describe_hardware(),
            "duration": took,
        },
    )


def preset_of(presets: Mapping[str, Any], config: Any) -> str:
    """Returns the preset that the command line named, or else the one that has the fewest other fields."""
    if (named := machines.current_launch().preset) in presets:
        return named
    return min(presets, key=lambda name: len(_changed(presets[name], config)))


def command(module: str, presets: Mapping[str, Any], config: Any) -> str:
    """Returns the command line that runs ``config`` again, from the folder where this process runs."""
    preset = preset_of(presets, config)
    flags = [] if preset == next(iter(presets)) else [preset]
    values = fields.flat(config)
    for name in _changed(presets[preset], config):
        flags += _flag(name, values[name])
    if (mesh := machines.current_launch().mesh) != machines.Machines().mesh:
        flags += ["--mesh", *_words(mesh)]
    return shlex.join([*_launcher(), module, *flags])


def differences(preset: Any, config: Any) -> Iterator[str]:
    """Yields each field of another value than the preset has, with both."""
    before, now = fields.flat(preset), fields.flat(config)
    for name in _changed(preset, config):
        yield f"{name}: {_shown(now[name])}, in the preset {_shown(before[name])}"


def describe_file(path: pathlib.Path) -> str:
    """Counts rows, and begins the SHA-256 of the content."""
    rows = _count_rows(path)
    return f"{path}: {'' if rows is None else f'{rows:,} rows, '}sha256 {_digest([path])}"


def _launcher() -> list[str]:
    root = pathlib.Path(__file__).parents[2]
    own = pathlib.Path(sys.prefix) == root / ".venv" and pathlib.Path.cwd() == root
    return ["./tools/run"] if own and (root / "tools" / "run").is_file() else ["python", "-m"]


def _changed(preset: Any, config: Any) -> list[str]:
    before = fields.flat(preset)
    return [name for name, value in fields.flat(config).items() if before[name] != value]


def _flag(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    return [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", *_words(value)]


def _words(value: Any) -> list[str]:
    """Returns a value as tyro reads it."""
    return [word for item in value for word in _words(item)] if isinstance(value, tuple) else [str(value)]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "nothing" if value is None or value == "" else str(value)


def _models(config: Any) -> Iterator[str]:
    values = fields.flat(config)
    for name in MODELS:
        if value := values.get(name):
            yield f"{name}: {_describe_model(value)}"


def _from_scratch(config: Any) -> str:
    width, layers = getattr(config, "size", None) or (config.width, config.num_layers)
    return f"from scratch: width {width}, {layers} layer{'' if layers == 1 else 's'}"


def _describe_model(name: str) -> str:
    folder = pathlib.Path(name)
    weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not weights:
        return name
    size = sum(path.stat().st_size for path in weights)
    return f"{name} ({size / 1e6:,.1f} MB of weights, sha256 {_digest(weights)})"


def _data(config: Any) -> Iterator[str]:
    """Yields what to say of the files that fields name, and of those in folders that they name."""
    for path in _paths(config):
        if path.is_file():
            yield describe_file(path)
        elif path.is_dir():
            inside = sorted(path.iterdir())
            yield from (describe_file(each) for each in inside if each.is_file() and each.suffix in _TABLES)
            yield from (_describe_folder(each) for each in inside if each.is_dir())
        elif ":" in str(path):  # the name of a data set
            yield str(path)


def _paths(config: Any) -> Iterator[pathlib.Path]:
    """Yields the files and folders that fields name, one each or several."""
    for name, value in fields.flat(config).items():
        if name != "output":
            yield from (
                each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, pathlib.Path)
            )


def _describe_folder(folder: pathlib.Path) -> str:
    """Folders may hold thousands of structures: names and sizes stand for their content."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{path.relative_to(folder)} {path.stat().st_size}\n" for path in found)
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return f"{folder}: {len(found):,} files, sha256 of names and sizes {digest}"


def _count_rows(path: pathlib.Path) -> int | None:
    try:
        if files.is_parquet(path):
            import pyarrow.parquet

            return pyarrow.parquet.ParquetFile(path).metadata.num_rows
        return sum(1 for _ in files.json_rows(path)) if path.suffix not in (".csv", ".tsv", ".txt") else None
    except ValueError:  # whoever reads the file says what is wrong with it
        return None


def _digest(paths: Iterable[pathlib.Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()[:16]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
