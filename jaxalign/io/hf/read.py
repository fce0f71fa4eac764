"""Models from Hugging Face directories."""

import contextlib
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxalign.io.hf.config import read_config
from jaxalign.io.hf.resolve import resolve
from jaxalign.io.hf.tensors import EMBEDDING, IGNORED, UNEMBEDDING, Slot, abstract_params, plain_name, slots
from jaxalign.models import DecoderConfig
from jaxalign.typing import Params

DTYPES = ("F32", "BF16", "F16")  # safetensors' names
SHOWN = 8  # problems that an error lists


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


def load_pretrained(
    directory: str | pathlib.Path, *, dtype: Literal["float32", "bfloat16"] = "float32", shardings: Any = None
) -> tuple[DecoderConfig, Params]:
    """Config and parameters of a model directory, or of a hub id (see :func:`resolve`).

    Files are memory-mapped and read one tensor at a time: beyond what ends up on the devices, the host holds one
    parameter (of all layers) and one tensor. Vocabulary rows beyond the tokenizer's are kept, as in training.

    Args:
      dtype: of the parameters, whatever the files hold; the config's own ``dtype`` is what they are multiplied in.
      shardings: one sharding per parameter in a tree like the parameters; each is placed as soon as it is read.
        Make it from :func:`read_config` and ``jax.eval_shape`` of the model's ``init``.

    Raises:
      FileNotFoundError: no such directory, config or weights.
      ValueError: an unknown family, or tensors that are missing, misshapen, unexpected or of another dtype, all listed.
    """
    directory = resolve(directory)
    config = read_config(directory)
    shapes = abstract_params(config)
    places = slots(config, shapes)
    targets = _flat_shardings(shardings, shapes)
    params = {}
    with _open_tensors(directory) as stored:
        _check(config, places, stored, directory)
        for path, group in itertools.groupby(places, key=lambda slot: slot.path):
            leaf = np.empty(shapes[path].shape, jnp.dtype(dtype))
            for slot in group:
                slot.fill(leaf, stored[slot.name].read())
            params[path] = jax.device_put(leaf, targets[path])
    return config, flax.traverse_util.unflatten_dict(params, sep="/")


def _flat_shardings(shardings, shapes):
    if shardings is None:
        return dict.fromkeys(shapes)
    flat = flax.traverse_util.flatten_dict(shardings, sep="/")
    if flat.keys() != shapes.keys():
        differing = sorted(flat.keys() ^ shapes.keys())
        raise ValueError(f"shardings and parameters differ at {differing}; give one sharding for each parameter")
    return flat


@contextlib.contextmanager
def _open_tensors(directory: pathlib.Path) -> Iterator[dict[str, Stored]]:
    """Every tensor of the directory's weights by its plain name, files held open meanwhile."""
    with contextlib.ExitStack() as stack:
        stored = {}
        for file in _weight_files(directory):
            try:
                opened = stack.enter_context(safe_open(file, framework="numpy"))
            except SafetensorError as error:
                raise ValueError(f"{file} is not whole safetensors ({error}); download or export it again") from error
            stored |= {plain_name(name): Stored(opened, name) for name in opened.keys() if not IGNORED.match(name)}
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


def _check(config: DecoderConfig, places: list[Slot], stored: dict[str, Stored], directory: pathlib.Path) -> None:
    expected = {slot.name: slot.stored_shape for slot in places}
    problems = []
    for name, shape in expected.items():
        if name not in stored:
            problems.append(f"{name}: expected shape {shape}, found none: it is missing")
        elif stored[name].shape != shape:
            problems.append(f"{name}: expected shape {shape}, found {stored[name].shape}")
        elif stored[name].dtype not in DTYPES:
            problems.append(f"{name}: expected one of {', '.join(DTYPES)}, found {stored[name].dtype}")
    spare = stored.keys() - expected.keys()
    if config.tied_embeddings and UNEMBEDDING in spare and not problems:
        spare -= {UNEMBEDDING}
        problems += _check_tie(stored)
    problems += [f"{name}: unexpected, found shape {stored[name].shape}" for name in sorted(spare)]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ValueError(
            f"the weights in {directory} are not those of the {config.family} model that its config.json describes:\n  "
            + "\n  ".join(problems[:SHOWN])
            + more
        )


def _check_tie(stored):
    """Some files hold the output matrix although it is the embedding."""
    if np.array_equal(stored[EMBEDDING].read(), stored[UNEMBEDDING].read()):
        return []
    return [
        f"{UNEMBEDDING}: expected to equal {EMBEDDING}, found other values; "
        f'if the model is meant to have both, set "tie_word_embeddings": false in config.json'
    ]
