"""The tensors in a model's directory, by their plain names."""

import contextlib
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxalign.io.hf.names import Spelling


class Stored(NamedTuple):
    """A tensor in an open file; only :meth:`read` touches its values."""

    file: Any
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def dtype(self) -> str:
        return self.file.get_slice(self.name).get_dtype()

    def read(self) -> np.ndarray:
        return self.file.get_tensor(self.name)


@contextlib.contextmanager
def open_tensors(directory: pathlib.Path, spelling: Spelling) -> Iterator[dict[str, Stored]]:
    """Every tensor of the directory's weights by its plain name, files held open meanwhile.

    Raises:
      FileNotFoundError: no weights, or not all.
      ValueError: a file is damaged, or lies elsewhere.
    """
    with open_files(_weight_files(directory)) as found:
        plain = {spelling.plain(name): tensor for name, tensor in found.items()}
        yield {name: tensor for name, tensor in plain.items() if name is not None}


@contextlib.contextmanager
def open_files(files: Iterable[pathlib.Path]) -> Iterator[dict[str, Stored]]:
    """Every tensor of safetensors files by the name that it has there.

    Raises:
      ValueError: a file is damaged.
    """
    with contextlib.ExitStack() as stack:
        stored = {}
        for file in files:
            try:
                opened = stack.enter_context(safe_open(file, framework="numpy"))
            except SafetensorError as error:
                raise ValueError(
                    f"{file} is not a complete safetensors file ({error}); download or export it again"
                ) from error
            stored |= {name: Stored(opened, name) for name in opened.keys()}
        yield stored


def _weight_files(directory):
    single, index = directory / "model.safetensors", directory / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        found = sorted(file.name for file in directory.iterdir())
        raise FileNotFoundError(
            f"{directory} holds neither {single.name} nor {index.name} but {found}; "
            f"weights in other formats must be converted to safetensors first"
        )
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    for name in names:
        if pathlib.PurePath(name).name != name:
            raise ValueError(f"{index} names the file {name!r}; expected a file of its own directory, without a path")
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory / name}, which {index.name} names, is missing; download it again")
    return [directory / name for name in names]
