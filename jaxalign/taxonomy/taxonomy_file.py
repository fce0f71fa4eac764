"""A taxonomy from a file or a folder, by the form that its name says."""

import os
import pathlib

from jaxalign.data import read_file
from jaxalign.taxonomy.readers import parse_label_files, parse_taxonomy_json, taxonomy_from_paths, taxonomy_from_rows
from jaxalign.taxonomy.taxonomy import Taxonomy

LABELS, HIERARCHY = "labels.txt", "label_hierarchy.txt"


def read_taxonomy(path: str | os.PathLike) -> Taxonomy:
    """Reads a taxonomy from a file, or from a folder in the layout of TELEClass's own data.

    A folder has ``labels.txt`` and ``label_hierarchy.txt`` (:func:`parse_label_files`). A ``.parquet`` or ``.jsonl``
    file has a row for each class (:func:`taxonomy_from_rows`), a ``.json`` file nested objects
    (:func:`parse_taxonomy_json`), and any other file a path such as ``pets > dogs > food`` on each line
    (:func:`taxonomy_from_paths`).

    Args:
      path: the file or folder.

    Raises:
      ValueError: naming the file and what is wrong there.
      FileNotFoundError: there is no such file, or a folder lacks one of the two.
    """
    path = pathlib.Path(path)
    if path.is_dir() and (missing := [name for name in (LABELS, HIERARCHY) if not (path / name).is_file()]):
        raise FileNotFoundError(
            f"{path}: expected {LABELS} and {HIERARCHY} in the folder of a taxonomy, {' and '.join(missing)} missing; "
            "name a file instead, or put them there"
        )
    try:
        return _read(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: pathlib.Path) -> Taxonomy:
    if path.is_dir():
        return parse_label_files((path / LABELS).read_text("utf-8"), (path / HIERARCHY).read_text("utf-8"))
    if path.suffix in (".parquet", ".jsonl"):
        return taxonomy_from_rows(read_file(path, dict)[0])
    text = path.read_text("utf-8")
    return parse_taxonomy_json(text) if path.suffix == ".json" else taxonomy_from_paths(text.splitlines())
