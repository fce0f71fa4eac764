"""Folders that ``datasets`` writes with ``save_to_disk``, read as Arrow files, memory-mapped, without that library."""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping


def is_saved_dataset(path: str | os.PathLike) -> bool:
    """Says whether a folder is a data set, or a dictionary of data sets, that ``save_to_disk`` wrote."""
    folder = pathlib.Path(path)
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def saved_rows(path: str | os.PathLike, split: str | None = None) -> Iterator[Mapping]:
    """The rows of a data set that ``save_to_disk`` wrote.

    Args:
      path: its folder.
      split: which data set of a dictionary; None where there is no dictionary, or one of one split.

    Raises:
      ValueError: if the folder is none, is damaged, or has not the split.
    """
    folder = _split_folder(pathlib.Path(path), split)
    try:
        state = json.loads((folder / "state.json").read_text())
        names = [file["filename"] for file in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: not a folder that datasets.save_to_disk wrote: {error!r}") from error
    for name in names:
        yield from _arrow_rows(folder / pathlib.PurePath(name).name)


def _split_folder(folder: pathlib.Path, split: str | None) -> pathlib.Path:
    index = folder / "dataset_dict.json"
    if not index.is_file():
        if split is not None:
            raise ValueError(f"{folder}: one data set without splits, got split={split!r}; leave it out")
        return folder
    splits = json.loads(index.read_text()).get("splits", [])
    if split is None and len(splits) == 1:
        return folder / splits[0]
    if split not in splits:
        raise ValueError(f"{folder}: expected split to be one of {', '.join(splits)}, got {split!r}; name one of them")
    return folder / split


def _arrow_rows(path: pathlib.Path) -> Iterator[Mapping]:
    import pyarrow

    try:
        with pyarrow.memory_map(os.fspath(path)) as file, pyarrow.ipc.open_stream(file) as stream:
            for batch in stream:
                yield from batch.to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not an Arrow file that can be read: {error}; save the data set again") from error
