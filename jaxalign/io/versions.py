"""Versions of a pytree in a folder, such as a serving policy that learns: saved whole, exchanged at once, taken back.

    version = versions.save_version("policies", state, note={"requests": 1000})
    versions.choose_version("policies", version)
    state = versions.load_version("policies", like=state)

A version is a file ``<version>.safetensors``, named by a hash of its content, so that equal states are one version and
a damaged file is known; ``current.json`` names the one in use. Both are written beside their place and renamed into it.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from jaxalign import files
from jaxalign.data import fingerprint

FORMAT = "1"
CURRENT = "current.json"
_PREFIX = 8  # bytes before a header, with its length
LENGTH = 16  # hexadecimal digits of a hash that name a version


class Version(NamedTuple):
    """A saved state: its name, and what was noted with it."""

    name: str
    note: Mapping[str, Any]


def save_version(directory: str | pathlib.Path, state: Any, *, note: Mapping[str, Any] | None = None) -> str:
    """Writes a state and returns its version; the one in use stays in use.

    Args:
      directory: the folder, which is made if it is not there.
      state: a pytree of arrays without PRNG keys.
      note: what to remember with it, as JSON: when, on how much data, with which figures. An equal state that is there
        already keeps the note that it has.

    Returns:
      The version: 16 hexadecimal digits.

    Raises:
      TypeError: a leaf is no array, or the note is not JSON.
    """
    version, data = pack_state(state, note=note)
    path = _path(directory, version)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(path) as file:
            file.write(data)
    return version


def pack_state(state: Any, *, note: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """Returns the version of a state, and the bytes of a file with it, for a store that keeps files itself.

    Args:
      state: a pytree of arrays without PRNG keys.
      note: what to remember with it, as JSON.

    Raises:
      TypeError: a leaf is no array, or the note is not JSON.
    """
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in _leaves(state).items()}
    data = save(arrays, metadata={"format": FORMAT, "note": json.dumps(dict(note or {}))})
    return fingerprint(arrays)[:LENGTH], data


def unpack_state(data: bytes, like: Any, version: str, *, where: str = "the data") -> tuple[Any, Mapping[str, Any]]:
    """Returns the state in bytes of :func:`pack_state`, equal to the packed one bit for bit, and its note.

    Args:
      data: the bytes.
      like: a state of the same form. Arrays may be longer or shorter, as those of a table that has grown.
      version: which one the bytes should be.
      where: what errors call the bytes.

    Raises:
      ValueError: they are damaged, or of a state with other arrays; the first differences are named.
    """
    note = _note_in(_header(data, where), where)
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise _damaged(where, error) from error
    if fingerprint(arrays)[:LENGTH] != version:
        raise ValueError(f"{where}: its content is not what its name says: damaged or edited. Use another version")
    expected = _leaves(like)
    differences = [
        f"{name} is {_kind(arrays.get(name))} there and {_kind(expected.get(name))} here"
        for name in sorted(arrays.keys() | expected.keys())
        if _kind(arrays.get(name)) != _kind(expected.get(name))
    ]
    if differences:
        raise ValueError(
            f"{where} is of another state: {'; '.join(differences[:3])} ({len(differences)} differences). Load it with "
            "the settings that it was saved with"
        )
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in expected]), note


def choose_version(directory: str | pathlib.Path, version: str) -> None:
    """Puts a version into use: who loads the current one from now on gets it.

    Args:
      directory: the folder.
      version: one that was saved there; an earlier one takes a later one back.

    Raises:
      FileNotFoundError: it is not there.
    """
    _existing(directory, version)
    files.write_json(pathlib.Path(directory) / CURRENT, {"format": FORMAT, "version": version})


def current_version(directory: str | pathlib.Path) -> str | None:
    """Returns the version in use; None where none was chosen.

    Args:
      directory: the folder.

    Raises:
      ValueError: current.json is of another format.
    """
    path = pathlib.Path(directory) / CURRENT
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {found.get('format')}; choose a version again")
    return found["version"]


def list_versions(directory: str | pathlib.Path) -> list[Version]:
    """Returns the versions in a folder with their notes, in the order in which they were saved.

    Args:
      directory: the folder; one that is not there has none.
    """
    paths = sorted(pathlib.Path(directory).glob("*.safetensors"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [Version(path.stem, _note(path)) for path in paths]


def load_version(directory: str | pathlib.Path, like: Any, version: str | None = None) -> Any:
    """Reads a state, equal to the saved one bit for bit.

    Args:
      directory: the folder.
      like: a state of the same form. Arrays may be longer or shorter, as those of a table that has grown.
      version: which one; None for the one in use.

    Raises:
      FileNotFoundError: it is not there, or none is in use.
      ValueError: the file is damaged, or of a state with other arrays; the first differences are named.
    """
    if version is None and (version := current_version(directory)) is None:
        raise FileNotFoundError(f"{directory}: no version is in use; expected {CURRENT}. Choose one of its versions")
    path = _existing(directory, version)
    return unpack_state(path.read_bytes(), like, version, where=str(path))[0]


def _leaves(state: Any) -> dict[str, np.ndarray]:
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError(f"{name}: expected an array of numbers, got {type(leaf).__name__} {leaf!r}")
        found[name] = np.asarray(leaf)
    return found


def _kind(array: np.ndarray | None) -> str:
    return "absent" if array is None else f"{array.dtype} of {array.ndim} axes"


def _path(directory: str | pathlib.Path, version: str) -> pathlib.Path:
    return pathlib.Path(directory) / f"{version}.safetensors"


def _existing(directory: str | pathlib.Path, version: str) -> pathlib.Path:
    if not (path := _path(directory, version)).exists():
        there = ", ".join(each.name for each in list_versions(directory)) or "none"
        raise FileNotFoundError(f"{directory}: no version {version}; there are {there}")
    return path


def _note(path: pathlib.Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        length = file.read(_PREFIX)
        return _note_in(_header(length + file.read(int.from_bytes(length, "little")), str(path)), str(path))


def _header(data: bytes, where: str) -> Mapping[str, Any]:
    """What stands before the arrays: the length of the header in 8 bytes, and the header as JSON."""
    length = int.from_bytes(data[:_PREFIX], "little")
    try:
        return json.loads(data[_PREFIX : _PREFIX + length]).get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise _damaged(where, error) from error


def _note_in(metadata: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{where}: expected format {FORMAT}, got {metadata.get('format')}; save the state again")
    return json.loads(metadata["note"])


def _damaged(where: str, error: Exception) -> ValueError:
    return ValueError(f"{where}: not a file of safetensors ({error}): damaged. Use another version")
