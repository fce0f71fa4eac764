"""One compiled entry of Protein-MT, and its bytes.

Bytes are those of ``np.savez``: plain arrays by name, no pickle either way, with a checksum of each array.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxalign.protein.annotations import TASKS
from jaxalign.protein.labels import Labels

_PLAIN_LABELS = ("affinities", "affinity_mask", "affinity_exact", "term_mask")


class ProteinExample(NamedTuple):
    """A compiled entry: a graph and its labels. ``ProteinGraph(**example.graph)`` is what ``make_graph`` gave.

    Attributes:
      id: of the entry, as 1f4e or 3qrf-F.
      chain_names: C of them, the rows of the labels.
      graph: fields of the graph by name: arrays, numbers, or None.
      labels: of the entry and its chains.
      identity: bins ``[5]`` bool by the name of their csv, for entries that it lists.
    """

    id: str
    chain_names: tuple[str, ...]
    graph: Mapping[str, Any]
    labels: Labels
    identity: Mapping[str, np.ndarray]


def encode_example(example: ProteinExample) -> bytes:
    """The example as bytes.

    Raises:
      ValueError: if a field of the graph is neither an array, a number nor None.
    """
    empty = [name for name, value in example.graph.items() if value is None]
    scalars = [name for name, value in example.graph.items() if isinstance(value, int | float | np.generic)]
    head = {"id": example.id, "chain_names": example.chain_names, "empty": empty, "scalars": scalars}
    arrays = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8)}
    for name, value in example.graph.items():
        if name not in empty:
            arrays[f"graph.{name}"] = _plain_array(example.id, name, value)
    arrays |= {f"label.{name}": getattr(example.labels, name) for name in _PLAIN_LABELS}
    for task in TASKS:
        chains = example.labels.terms[task]
        arrays[f"terms.{task}"] = np.concatenate([np.zeros(0, np.int32), *chains]).astype(np.int32)
        arrays[f"ends.{task}"] = np.cumsum([len(chain) for chain in chains], dtype=np.int32)
    arrays |= {f"identity.{name}": np.asarray(bins, bool) for name, bins in example.identity.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)  # of numbers only, see _plain_array: it would pickle objects
    return file.getvalue()


def decode_example(data: bytes) -> ProteinExample:
    """What :func:`encode_example` was given.

    Raises:
      ValueError: if the bytes are damaged or something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(arrays["head"].tobytes())
        groups: dict[str, dict[str, np.ndarray]] = {"graph": {}, "label": {}, "terms": {}, "ends": {}, "identity": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = array
        terms = {task: tuple(np.split(groups["terms"][task], groups["ends"][task])[:-1]) for task in TASKS}
        labels = Labels(terms=terms, **groups["label"])
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected the bytes of an example, got {len(data)} others: {error}; compile again") from error
    graph = {name: value.item() if name in head["scalars"] else value for name, value in groups["graph"].items()}
    graph |= dict.fromkeys(head["empty"])
    return ProteinExample(head["id"], tuple(head["chain_names"]), graph, labels, groups["identity"])


def _plain_array(entry: str, name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{entry}: expected an array of numbers in the graph's {name}, got {type(value).__name__}")
    return array
