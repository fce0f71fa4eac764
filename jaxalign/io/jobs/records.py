"""Preference records that a run made, as a data set with its provenance.

A file of JSON lines (``prompt``, ``responses``, ``labels``, ``source``, ``id``) that :func:`jaxalign.data.read_jsonl`
reads like any other, and beside it ``<file>.provenance.json``: seed, temperature, hashes of the models, whatever else
made the records what they are. A file is used again only for the same provenance.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxalign import files
from jaxalign.data import ListColumns, PreferenceRecord, read_jsonl
from jaxalign.io import keys

COLUMNS = ListColumns(source="source", id="id", tokens="tokens")


def stored_records(
    path: str | os.PathLike, provenance: Mapping[str, Any], make: Callable[[], Sequence[PreferenceRecord]]
) -> list[PreferenceRecord]:
    """Returns the records in a file; if there is none, they are made and written first.

    Args:
      path: the file of JSON lines.
      provenance: all that the records depend on, as JSON: a :data:`~jaxalign.io.keys.Key`.
      make: makes the records; called only if there is no file.

    Raises:
      ValueError: the file is of another provenance, naming what differs; ``make`` gives no record.
      OSError: the file could not be written.
    """
    path, provenance = pathlib.Path(path), json.loads(json.dumps(provenance))
    if not path.exists():
        write_records(path, make(), provenance)
    before = read_provenance(path)
    if changed := keys.changes(before, provenance):
        details = ", ".join(changed)
        raise ValueError(f"{path} holds records of another provenance: {details}. Use those, or name a new file")
    return read_jsonl(path, COLUMNS).records


def write_records(path: str | os.PathLike, records: Sequence[PreferenceRecord], provenance: Mapping[str, Any]) -> None:
    """Writes records and their provenance, the records last and at once.

    A file of records is complete and has its provenance.

    Args:
      path: the file of JSON lines; the provenance goes to ``<path>.provenance.json``.
      records: at least one record.
      provenance: all that the records depend on, as JSON: a :data:`~jaxalign.io.keys.Key`.

    Raises:
      ValueError: there is no record.
      OSError: a file could not be written.
    """
    path = pathlib.Path(path)
    if not records:
        raise ValueError(f"no record to write to {path}; the report of what made them says what was left out, and why")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n" for record in records)
    files.write_json(_beside(path), provenance)
    files.write_text(path, "".join(lines))


def read_provenance(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the provenance of a file of records, as :func:`write_records` was given it.

    Args:
      path: the file of the records.

    Raises:
      FileNotFoundError: the file of the provenance is missing.
    """
    beside = _beside(pathlib.Path(path))
    if not beside.exists():
        raise FileNotFoundError(f"{beside} is missing, so nobody knows what made {path}; name a new file")
    return json.loads(beside.read_text(encoding="utf-8"))


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.provenance.json")
