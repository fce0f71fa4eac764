"""Batches by number: what makes a stream of batches deterministic, sharded and resumable.

An epoch is planned as a whole, from seed and epoch number alone, as a fixed number of batches; batch ``step`` is a pure
function of the step. Grain calls it ahead of time, in threads or processes, and its iterator's state is the number of
the next batch to hand out, never of one that is only prefetched. So a stream continues exactly where its state was
taken, also with another number of processes, each of which takes its rows of the same global batch: all processes see
one shape at each step.
"""

import bisect
import functools
from collections.abc import Callable, Sequence
from typing import Any

import grain
from absl import flags

ENDLESS = 2**48  # steps; Grain wants a length
READ_AHEAD = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)


class Stream:
    """``stream(step)`` is batch number ``step``.

    Args:
      plan_epoch: ``plan_epoch(epoch)`` lists what :attr:`make_batch` needs for each batch of the epoch.
      make_batch: makes a batch of one entry of that list.
      batches_per_epoch: the length of every such list.
    """

    def __init__(
        self, plan_epoch: Callable[[int], Sequence[Any]], make_batch: Callable[[Any], Any], batches_per_epoch: int
    ):
        self.plan_epoch, self.make_batch, self.batches_per_epoch = plan_epoch, make_batch, batches_per_epoch
        self._planned = None, None

    def __call__(self, step: int) -> Any:
        epoch, index = self.locate(int(step))
        # Neighbouring batches share a plan. Threads read and replace the pair as one, at worst planning twice.
        planned, plan = self._planned
        if planned != epoch:
            plan = self.plan_epoch(epoch)
            self._planned = epoch, plan
        return self.make_batch(plan[index])

    def locate(self, step: int) -> tuple[int, int]:
        """The epoch of batch ``step``, and its place there."""
        return divmod(step, self.batches_per_epoch)

    def length(self, num_epochs: int) -> int:
        """Batches in the first epochs."""
        return num_epochs * self.batches_per_epoch


class UnevenStream(Stream):
    """A stream of epochs that differ in their number of rows: to find a batch, all epochs before it are planned once.

    Args:
      plan_rows: ``plan_rows(epoch)`` lists the rows of the epoch, of which each batch takes ``batch_size``.
      make_batch: makes a batch of so many entries of that list.

    Raises:
      ValueError: if the rows of the first epoch do not fill a batch.
    """

    def __init__(
        self,
        plan_rows: Callable[[int], Sequence[Any]],
        make_batch: Callable[[Sequence[Any]], Any],
        batch_size: int,
        drop_remainder: bool,
    ):
        first = num_batches(len(plan_rows(0)), batch_size, drop_remainder)
        plan_epoch = functools.partial(_cut, plan_rows, batch_size, drop_remainder)
        super().__init__(plan_epoch, make_batch, first)
        self._ends = (first,)  # batches in the first 1, 2, ... epochs

    def locate(self, step: int) -> tuple[int, int]:
        # As the plan, the ends are replaced as one: threads may count an epoch twice, and agree.
        ends = self._ends
        while ends[-1] <= step:
            ends = (*ends, ends[-1] + len(self.plan_epoch(len(ends))))
            self._ends = ends
        epoch = bisect.bisect_right(ends, step)
        return epoch, step - (ends[epoch - 1] if epoch else 0)

    def length(self, num_epochs: int) -> int:
        while len(self._ends) < num_epochs:
            self.locate(self._ends[-1])
        return self._ends[num_epochs - 1]


def _cut(plan_rows, batch_size: int, drop_remainder: bool, epoch: int) -> list[Sequence[Any]]:
    rows = plan_rows(epoch)
    end = len(rows) - len(rows) % batch_size if drop_remainder else len(rows)
    return [rows[start : start + batch_size] for start in range(0, end, batch_size)]


def to_dataset(stream: Stream, *, num_epochs: int | None, num_workers: int) -> grain.IterDataset:
    """The stream as a Grain data set, prepared ahead in threads or in ``num_workers`` processes."""
    steps = ENDLESS if num_epochs is None else stream.length(num_epochs)
    dataset = grain.MapDataset.range(steps).map(stream).to_iter_dataset(READ_AHEAD)
    if not num_workers:
        return dataset
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain asks for an absl flag, which nobody parses outside absl's own main
    return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))


def num_batches(num_rows: int, batch_size: int, drop_remainder: bool) -> int:
    """Batches in an epoch.

    Raises:
      ValueError: if that is none.
    """
    count = num_rows // batch_size if drop_remainder else -(-num_rows // batch_size)
    if not count:
        raise ValueError(
            f"{num_rows} rows do not fill one batch of {batch_size}; make it smaller or keep the remainder"
        )
    return count


def process_rows(batch_size: int, process_index: int, process_count: int) -> slice:
    """The rows of a global batch that one process prepares.

    Raises:
      ValueError: if the batch cannot be divided, or there is no such process.
    """
    if not 0 <= process_index < process_count or batch_size % process_count:
        raise ValueError(
            f"expected a batch size that {process_count} processes can share and a process index below that number, "
            f"got {batch_size} and {process_index}"
        )
    size = batch_size // process_count
    return slice(process_index * size, (process_index + 1) * size)
