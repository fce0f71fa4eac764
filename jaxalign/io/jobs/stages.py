"""The stages of a run, each a task in a TOML file that a person may edit before the next stage reads it.

Beside a file that a stage made stands ``<stage>.toml.settings.json``: with what settings it was made, and a hash of the
task of the stage before it, as that was read, edits included. Comments and blanks in a file count for nothing, the
order of classes and values does, since prompts keep it.
"""

import hashlib
import json
import os
import pathlib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from jaxalign import files
from jaxalign.attributes import Task, parse_task, render_task
from jaxalign.io import keys

FORMAT = 1  # of the settings beside a task


def kept_task(
    folder: str | os.PathLike,
    stage: str,
    before: Task,
    make: Callable[[], Task],
    *,
    settings: Mapping[str, Any],
    after: str = "",
) -> Task:
    """Returns the task in the file of a stage; if there is none, it is made and written first, complete.

    What a person edits in the file counts. A file without settings beside it is a person's own: it is read as it is,
    whatever the settings and the stage before are. Settings are written before the file, so that only a person can
    make such a file, by writing it or by deleting its settings.

    Args:
      folder: the folder of the run; it is made. The file is ``<stage>.toml``.
      stage: its name, a name of a file.
      before: the task of the stage before, as it was read; for the first stage what the run was given.
      make: makes the task; called only if there is no file.
      settings: what else would change the task, as JSON, for instance the model and its parameters.
      after: the name of the stage before, whose file an error names; "" if ``before`` is what the run was given.

    Returns:
      The task, equal in the call that makes it and in those that find it.

    Raises:
      ValueError: the file holds no task; the file was made from another task than ``before``, or
        with other settings. The message names the files, what differs and the remedy.
      OSError: the file could not be written.
    """
    path = pathlib.Path(folder) / f"{stage}.toml"
    key = {keys.FORMAT: FORMAT, "stage": stage, "settings": dict(settings), "before": _digest(before)}
    if not path.exists():
        text = render_task(make())
        path.parent.mkdir(parents=True, exist_ok=True)
        # Before the task: whoever finds a task without its settings takes it for a person's.
        files.write_json(keys.settings_file(path), key)
        files.write_text(path, text)
    elif keys.settings_file(path).exists():
        _check(path, key, path.with_name(f"{after}.toml") if after else None)
    return _read(path)


def _read(path: pathlib.Path) -> Task:
    try:
        return parse_task(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}. Correct the file, or delete it to have it made again") from error


def _check(path: pathlib.Path, key: keys.Key, edited: pathlib.Path | None) -> None:
    beside = keys.settings_file(path)
    try:
        old = json.loads(beside.read_text(encoding="utf-8"))
        source = old.pop("before")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{beside} is not what stands beside a stage's task; delete it to keep {path} as a task of your own, or "
            "delete both to have it made again"
        ) from error
    new = json.loads(json.dumps(key))
    now = new.pop("before")
    if changed := keys.changes(old, new):
        raise ValueError(
            f"{path} was made with other settings: {', '.join(changed)}. Use those, or delete {path.name} to have it "
            "made again, and so what was made from it"
        )
    if source != now:
        raise ValueError(
            f"{path} was made from another task than {edited or 'the one that this run is given'}, which was changed "
            f"since. Delete {path.name} to have it made again, or undo the edit"
            f"{f' of {edited.name}' if edited else ''}"
        )


def _digest(task: Task) -> str:
    """A hash of what stands in a task's file, in its order."""
    return hashlib.sha256(json.dumps(tomllib.loads(render_task(task))).encode()).hexdigest()
