"""Keys: what a thing that is kept for later was made with.

A key is JSON: named parts, one for everything that would change the thing. Weights and files are in it as hashes of
their content, never as a path or a time; configs, settings and a tokenizer's chat template as they are, so that
:func:`changes` can say what differs. A thing is used again under its own key only.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import tempfile
import types
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxalign import files
from jaxalign.data import Tokenizer, fingerprint
from jaxalign.typing import Params

Key = dict[str, Any]
FORMAT = "format"
"""The part that every key beside a file has: the number of the release's way to write it."""

HASH = re.compile("[0-9a-f]{64}")
SHOWN = 60  # characters of a value in a message
MANY_FILES = 64  # files of a folder beyond which it has one hash instead of one for each
LONG = 4096  # characters of a function's key beyond which a hash of it stands for it
DEEPEST = 12


def of_model(config: Any, params: Params) -> Key:
    """Makes the key of a model: its config, field by field, and a hash of every weight.

    A field that two equal configs may differ in changes nothing that the model computes, and is no part of the key.

    Args:
      config: the model's config, a dataclass.
      params: its parameters.
    """
    return {"config": _compared(config), "weights": fingerprint(params)}


def of_tokenizer(tokenizer: Tokenizer) -> Key:
    """Makes the key of a tokenizer: hashes of the files that it saves, and its tokenizer_config.json as it is.

    Args:
      tokenizer: the tokenizer; one that cannot be saved is known by its class and its ids.
    """
    with tempfile.TemporaryDirectory() as directory:
        try:
            tokenizer.save(directory)
        except NotImplementedError:
            ids = ("vocab_size", "bos_id", "eos_id", "pad_id", "separator_ids")
            return {"class": _name(type(tokenizer)), **{name: _plain(getattr(tokenizer, name)) for name in ids}}
        key: Key = {}
        for path in sorted(pathlib.Path(directory).rglob("*")):
            if path.name == "tokenizer_config.json":
                key |= json.loads(path.read_text(encoding="utf-8"))
            elif path.is_file():
                key[str(path.relative_to(directory))] = _hash(path)
        return key


def of_files(root: str | os.PathLike, patterns: Iterable[str] = ("**/*",)) -> Key | str:
    """Makes the key of a file (a hash of its content) or of a folder (hashes by path, or one hash for many files).

    Args:
      root: the file or folder.
      patterns: which files of a folder count, as glob patterns.

    Raises:
      FileNotFoundError: there is nothing of that name.
    """
    root = pathlib.Path(root)
    if root.is_file():
        return _hash(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist; name a file or a folder that does")
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    hashes = {path.relative_to(root).as_posix(): _hash(path) for path in files}
    return hashes if len(hashes) <= MANY_FILES else {"files": len(hashes), "sha256": digest(hashes)}


def of_function(function: Any) -> Any:
    """Makes the key of a function: its name, what it binds or closes over, and, outside jaxalign, its code.

    Functions of equal keys do the same; two that do the same may have different keys. What a function finds by a global
    name is not looked at. :func:`jaxalign.protein.function_key.function_key` does that, and its keys are others: if one
    replaced the other, what is kept under them would be made anew.

    Args:
      function: the function, a partial, a method, or a tuple of functions such as a rule of sampling.

    Returns:
      JSON, or its hash where it is long.
    """
    key = json.loads(json.dumps(_describe(function, ())))
    return key if len(json.dumps(key)) <= LONG else digest(key)


def digest(key: Any) -> str:
    """Returns a hash of a key.

    Args:
      key: JSON; the order of names does not count.
    """
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns what differs between two keys, in words; nothing if they are equal.

    Args:
      before: the key of what is there.
      now: the key that is wanted.

    Returns:
      Texts such as ``config.window was 3 and is 2``, sorted.
    """
    old, new = _flat(before), _flat(now)
    names = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    return [f"{name} was {' and is '.join(_shown(old.get(name), new.get(name)))}" for name in names]


def begin(path: pathlib.Path, key: Mapping[str, Any]) -> None:
    """Notes the key of a file in ``<file>.settings.json``, before anything is written to the file or added.

    Args:
      path: the file; its folder is made.
      key: what the file is made with; it has :data:`FORMAT`.

    Raises:
      ValueError: the file holds something of another key, naming what differs, or of no known one.
      OSError: the key could not be written.
    """
    beside, key = settings_file(path), json.loads(json.dumps(key))
    if path.exists() and path.stat().st_size:
        if not beside.is_file():
            raise ValueError(f"{path} holds something, but not by this tool: {beside.name} is missing. Name a new file")
        before = json.loads(beside.read_text(encoding="utf-8"))
        if FORMAT not in before:
            raise ValueError(
                f"{path} was begun by an older release, which did not note all that it was made with ({beside.name} "
                "has no format). It stays as it is: name a new file"
            )
        if changed := changes(before, key):
            raise ValueError(
                f"{path} was begun with other settings: {', '.join(changed)}. Use those, or name a new file"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(beside, key)


def settings_file(path: pathlib.Path) -> pathlib.Path:
    """Returns the place of a file's key.

    Args:
      path: the file.
    """
    return path.with_name(f"{path.name}.settings.json")


def _compared(config: Any) -> Any:
    if isinstance(config, tuple):
        return [_compared(each) for each in config]
    if not dataclasses.is_dataclass(config):
        return config
    fields = [field.name for field in dataclasses.fields(config) if field.compare]
    return {"class": type(config).__name__, **{name: _compared(getattr(config, name)) for name in fields}}


def _hash(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flat(key: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(key, Mapping) or (not key and prefix):
        return {prefix: key}
    parts = {}
    for name, value in key.items():
        parts |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
    return parts


def _shown(*values: Any) -> list[str]:
    """Values as a message has them: hashes by their beginning, long texts from where they begin to differ."""
    texts = [repr(value[:12] + "…" if HASH.fullmatch(str(value)) else value) for value in values]
    if max(map(len, texts)) <= SHOWN:
        return texts
    start = max(len(os.path.commonprefix(texts)) - SHOWN // 4, 0) if min(map(len, texts)) > SHOWN else 0
    cut = [text[start : start + SHOWN] + ("…" if text[start + SHOWN :] else "") for text in texts]
    return [f"…{text}" if start else text for text in cut]


def _describe(value: Any, outer: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | np.generic):
        return repr(value)
    if id(value) in outer or len(outer) > DEEPEST:
        return {"again": _name(type(value))}
    inner = functools.partial(_describe, outer=(*outer, id(value)))
    if isinstance(value, np.ndarray | jax.Array):
        return fingerprint(value)
    if isinstance(value, Mapping):
        return {str(name): inner(each) for name, each in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        names = getattr(value, "_fields", None)
        parts = [inner(each) for each in value]
        return {"class": _name(type(value)), **dict(zip(names, parts, strict=True))} if names else parts
    if isinstance(value, functools.partial):
        return {"partial": inner(value.func), "arguments": inner(value.args), "keywords": inner(value.keywords)}
    if callable(getattr(value, "__wrapped__", None)):  # of jax.jit, for instance
        return {"wrapped": inner(value.__wrapped__)}
    if isinstance(value, types.FunctionType):
        return _describe_function(value, inner)
    if isinstance(value, types.MethodType):
        return {"method": inner(value.__func__), "self": inner(value.__self__)}
    if isinstance(value, type | types.BuiltinFunctionType | types.ModuleType):
        return _name(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: inner(getattr(value, field.name, None)) for field in dataclasses.fields(value)}
        return {"class": _name(type(value)), **fields}
    return {"class": _name(type(value)), **{name: inner(each) for name, each in getattr(value, "__dict__", {}).items()}}


def _describe_function(function: types.FunctionType, inner) -> Key:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    bound = {name: inner(cell.cell_contents) for name, cell in cells}
    key = {"function": _name(function), "bound": bound, "defaults": inner(function.__defaults__)}
    key |= {"keywords": inner(function.__kwdefaults__)} if function.__kwdefaults__ else {}
    if not str(function.__module__).startswith("jaxalign."):
        key["code"] = hashlib.sha256(repr(_code(function.__code__)).encode()).hexdigest()
    return key


def _code(code: types.CodeType) -> tuple:
    return code.co_code.hex(), code.co_names, tuple(map(_constant, code.co_consts))


def _constant(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(map(repr, value))  # the order of a set of texts changes from process to process
    return _code(value) if isinstance(value, types.CodeType) else repr(value)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', getattr(value, '__name__', '?'))}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
