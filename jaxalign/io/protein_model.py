"""A trained protein network in a folder: ``protein.json`` and ``protein.safetensors``.

The first has the config and the names of the classes of each task, the second all variables by their path.
"""

import functools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax
import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxalign import protein
from jaxalign.files import write_json
from jaxalign.io.run.model_config import from_json, to_json
from jaxalign.protein import HemenetConfig, ProteinConfig, ProteinNetwork, Task, TensorFieldConfig
from jaxalign.typing import Params

KNOWN = HemenetConfig, ProteinConfig, Task, TensorFieldConfig
CONFIG, VARIABLES = "protein.json", "protein.safetensors"


class ProteinModel(NamedTuple):
    """A trained protein network.

    Attributes:
      network: the Flax module.
      variables: its ``params`` and ``batch_stats``.
      classes: names of the classes, by task.
    """

    network: ProteinNetwork
    variables: Params  # params and batch_stats
    classes: Mapping[str, Sequence[str]]  # names of the classes, by task


def save_protein(
    folder: str | os.PathLike, config: ProteinConfig, variables: Params, classes: Mapping[str, Sequence[str]]
) -> None:
    """Writes a protein network to a folder, its config last: a folder that has it is complete.

    Args:
      folder: the folder; it is made.
      config: the network's config.
      variables: its ``params`` and ``batch_stats``.
      classes: names of the classes by task, for tasks that have classes with names.

    Raises:
      ValueError: the number of names is not the size of the task.
      OSError: a file could not be written.
    """
    folder = pathlib.Path(folder)
    sizes = {task.name: task.size for task in config.tasks}
    for name, names in classes.items():
        if len(names) != sizes.get(name):
            raise ValueError(f"task {name!r} has {sizes.get(name)} classes, but {len(names)} names")
    folder.mkdir(parents=True, exist_ok=True)
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    save_file({name: np.ascontiguousarray(value) for name, value in flat.items()}, folder / VARIABLES)
    content = {"config": to_json(config), "classes": {name: list(names) for name, names in classes.items()}}
    write_json(folder / CONFIG, content)


def load_protein(folder: str | os.PathLike) -> ProteinModel:
    """Reads a protein network that :func:`save_protein` wrote.

    Args:
      folder: the folder.

    Raises:
      FileNotFoundError: the folder has no such model.
      ValueError: a file is damaged, or the variables are not those of the config.
    """
    folder = pathlib.Path(folder)
    file = folder / CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; pass the folder 'model' of a run of experiments.hemenet")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        config, classes = from_json(content["config"], KNOWN, file), content["classes"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not as it was written ({error!r}); train or copy the model again") from error
    if not (folder / VARIABLES).is_file():
        raise FileNotFoundError(f"{folder / VARIABLES} is missing; copy the whole folder of the model")
    try:
        flat = load_file(folder / VARIABLES)
    except SafetensorError as error:
        raise ValueError(f"{folder / VARIABLES} is not complete ({error}); train or copy the model again") from error
    network = ProteinNetwork(config)
    expected = flax.traverse_util.flatten_dict(_shapes(network), sep="/")
    if wrong := sorted(name for name in flat | expected if np.shape(flat.get(name)) != np.shape(expected.get(name))):
        raise ValueError(f"{folder / VARIABLES} does not fit {CONFIG}: {', '.join(wrong[:5])}; export the model again")
    return ProteinModel(network, flax.traverse_util.unflatten_dict(flat, sep="/"), classes)


@functools.lru_cache(maxsize=8)
def _shapes(network: ProteinNetwork) -> Params:
    """Finds the shapes of the variables on the smallest graph."""
    size = network.config.encoder.embedding_size
    nodes = {"coordinates": np.zeros((1, protein.NUM_CHANNELS, 3), np.float32)}
    nodes |= {"elements": np.zeros((1, protein.NUM_CHANNELS), np.int32)}
    nodes |= {"channel_mask": np.ones((1, protein.NUM_CHANNELS), bool)}
    one = np.zeros(1, np.int32)
    graph = protein.ProteinGraph(
        **nodes,
        types=one,
        chains=one,
        num_chains=1,
        senders=one,
        receivers=one,
        relations=one,
        embeddings=np.zeros((1, size), np.float32) if size else None,
    )
    batch = protein.batch_graphs([graph], [protein.size_of([graph])])
    return jax.eval_shape(network.init, jax.random.key(0), batch)
