"""A stream of batches of labelled graphs, resumable by the number of the batch.

Each epoch puts the graphs into a fixed number of batches of about as many edges: large graphs first, in random order
among those of like size, each to the emptiest batch that has room. So steps cost alike, few sizes are met, and every
graph is seen once an epoch.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

import grain
import numpy as np

from jaxalign.data.batches import pipeline
from jaxalign.protein.batches import BatchSize, astuple, size_of
from jaxalign.protein.config import Task
from jaxalign.protein.labelled import LabelledBatch, LabelledGraph, batch_labelled

_SLACK = 1.05  # batches beyond those that a tight packing needs: random orders pack less well


def labelled_batches(
    source: Sequence[LabelledGraph],
    tasks: Sequence[Task],
    sizes: Sequence[BatchSize],
    *,
    seed: int = 0,
    num_epochs: int | None = None,
    num_workers: int = 0,
) -> grain.IterDataset[LabelledBatch]:
    """Returns a stream of batches of labelled graphs, as NumPy arrays, each of about as many edges.

    Args:
      source: graphs in random access; each is read once, for its size, before the first batch.
      tasks: which labels the batches have.
      sizes: in ascending order; no batch is larger than the last.
      seed: the order of the graphs depends on it and on the epoch only.
      num_epochs: passes over the graphs; None for no end.
      num_workers: processes that prepare batches; 0 for threads of this one.

    Raises:
      ValueError: no graph, or one that no size holds.
    """
    graph_sizes = np.array([astuple(size_of([source[n].graph])) for n in range(len(source))])
    if not len(graph_sizes):
        raise ValueError("expected at least one graph")
    room = np.array(astuple(sizes[-1]))
    if (too_large := np.flatnonzero((graph_sizes > room).any(axis=1))).size:
        first = BatchSize(*graph_sizes[too_large[0]].tolist())
        raise ValueError(
            f"graph {too_large[0]} of {first} and {too_large.size - 1} others do not fit in {sizes[-1]}; raise it, or "
            "leave them out"
        )
    tight = _first_fit(graph_sizes, room)
    count = max(int(len(tight) * _SLACK), len(tight))
    stream = pipeline.Stream(
        functools.partial(plan_epoch, graph_sizes, room, count, seed),
        functools.partial(_make_batch, source, tasks, sizes),
        count,
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def batches_in_order(
    source: Iterable[LabelledGraph], tasks: Sequence[Task], sizes: Sequence[BatchSize]
) -> Iterator[LabelledBatch]:
    """Returns an iterator of batches for evaluation: every graph once, in order, as many at once as a batch holds.

    Args:
      source: labelled graphs.
      tasks: which labels the batches have.
      sizes: in ascending order.

    Raises:
      ValueError: a graph that no size holds.
    """
    packed: list[LabelledGraph] = []
    for each in source:
        if packed and not sizes[-1].holds(size_of([*(other.graph for other in packed), each.graph])):
            yield batch_labelled(packed, sizes, tasks)
            packed = []
        packed.append(each)
    if packed:
        yield batch_labelled(packed, sizes, tasks)


def plan_epoch(graph_sizes: np.ndarray, room: np.ndarray, count: int, seed: int, epoch: int) -> list[list[int]]:
    """The graphs of each of ``count`` batches; sizes are ``[graphs, 4]`` and ``[4]``, as of ``BatchSize``."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(graph_sizes))
    classes = np.log2(graph_sizes[order, 0]).astype(int)
    order = order[np.argsort(-classes, kind="stable")]
    used, batches = np.zeros((count, len(room)), int), [[] for _ in range(count)]
    for graph in order.tolist():
        fits = (used + graph_sizes[graph] <= room).all(axis=1)
        if not fits.any():  # a packing that is known to do; its batches are the same in every such epoch
            batches = _first_fit(graph_sizes, room)
            batches += [batches[n % len(batches)] for n in range(count - len(batches))]
            break
        emptiest = int(np.where(fits, used[:, 0], room[0] + 1).argmin())
        used[emptiest] += graph_sizes[graph]
        batches[emptiest].append(graph)
    batches = [batch for batch in batches if batch]
    batches += [batches[n % len(batches)] for n in range(count - len(batches))]  # more batches than graphs
    return [batches[n] for n in rng.permutation(count)]


def _first_fit(graph_sizes: np.ndarray, room: np.ndarray) -> list[list[int]]:
    """Largest first, each into the first batch with room."""
    used, batches = np.zeros((0, len(room)), int), []
    for graph in np.argsort(-graph_sizes[:, 0], kind="stable").tolist():
        fits = np.flatnonzero((used + graph_sizes[graph] <= room).all(axis=1))
        if not fits.size:
            used = np.concatenate([used, np.zeros((1, len(room)), int)])
            batches.append([])
        place = fits[0] if fits.size else len(batches) - 1
        used[place] += graph_sizes[graph]
        batches[place].append(graph)
    return batches


def _make_batch(source, tasks, sizes, planned: Sequence[int]) -> LabelledBatch:
    return batch_labelled([source[n] for n in planned], sizes, tasks)
