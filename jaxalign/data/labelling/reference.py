"""Log-probabilities of the reference model: computed once, kept on disk, joined to batches by record and response.

A file is named by a hash of what identifies the model, its config and its weights, and of the token ids, so another
model, tokenizer, limit or data set never meets a stale one. Labels are no part of it: relabelled data keep their file.
"""

import hashlib
import operator
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxalign import files
from jaxalign.data.batches.lists import Bucket
from jaxalign.data.labelling.scoring import MapFn, score_lists
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.typing import RewardFn

FORMAT = 2  # of the file and its key; another number is another name


def load_reference_logps(
    directory: str | os.PathLike,
    lists: EncodedLists,
    logps_fn: RewardFn,
    *,
    model: str,
    batch_size: int,
    list_size: int,
    buckets: Sequence[Bucket] | None = None,
    map_fn: MapFn = map,
    first_fn: Callable[[Callable[[], Any]], Any] = operator.call,
) -> Float[np.ndarray, "N n"]:
    """Returns the log-probabilities of all responses, memory-mapped; computed and written first where they are missing.

    Args:
      directory: the folder of such files; it is made.
      lists: the token ids of the records.
      logps_fn: gives ``[batch_size, list_size]`` nats, summed over each response, to a
        :class:`~jaxalign.typing.ListBatch`; called only when the file is missing.
      model: what identifies ``logps_fn``, for instance ``fingerprint((model.config, params))``: equal weights under
        another config (positions, window, caps) give other log-probabilities.
      batch_size: lists in a batch.
      list_size: responses in a list; a record with more is split over several lists.
      buckets: shapes of batches as ``(prompt length, response length)`` in tokens; None for the limits of ``lists``.
      map_fn: applies a function to the batches, like ``map``; with several processes
        ``jaxalign.io.cluster.processes.dealt``, which shares them out.
      first_fn: calls what reads and writes the file; with several processes
        ``jaxalign.io.cluster.processes.first``, so that process 0 alone touches the disk.

    Returns:
      ``[N, n]`` nats for the N records with up to n responses, NaN where a record has fewer.

    Raises:
      OSError: the file could not be written.
    """
    key = hashlib.sha256(f"{FORMAT}/{model}/{lists.fingerprint()}".encode()).hexdigest()[:32]
    path = pathlib.Path(directory) / f"reference-{key}.npy"
    if not first_fn(path.exists):
        sizes = {"batch_size": batch_size, "list_size": list_size, "buckets": buckets}
        logps = score_lists(lists, logps_fn, **sizes, map_fn=map_fn)
        first_fn(lambda: _write(path, logps))
    return first_fn(lambda: np.load(path, mmap_mode="r"))


def fingerprint(tree: Any) -> str:
    """Returns a hash of a pytree of arrays: names, shapes, types and every bit of the values.

    Args:
      tree: the pytree. Configs, texts and numbers may be among its leaves; they are hashed as Python shows them.
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array):
            digest.update(f"{jax.tree_util.keystr(path)} {leaf!r}\n".encode())
            continue
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(path: pathlib.Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replaced(path) as file:
        np.save(file, array)
