"""What a run keeps: checkpoints of its state with the position in its data, and the best state by evaluation."""

import contextlib
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxalign.io.run.checkpoints import Checkpoints
from jaxalign.io.run.metrics_log import NotFiniteError
from jaxalign.io.run.writers import METRICS, read_metrics
from jaxalign.training import TrainState

Score = Callable[[Mapping[str, float]], float]


def room(state: Any, num_checkpoints: int, *, best: bool) -> str:
    """Returns in words what a run will keep on disk.

    Args:
      state: the state of the run, a pytree of arrays.
      num_checkpoints: how many checkpoints of it stay.
      best: whether the best one is kept beside them.

    >>> room({"params": jax.numpy.zeros(3_000_000)}, 2, best=True)
    'will keep 2 checkpoints of 12 MB and the best one, 36 MB in all,'
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    checkpoints = f"{num_checkpoints} checkpoint{'s' * (num_checkpoints != 1)} of {in_units(size)}"
    also = " and the best one" if best else ""
    return f"will keep {checkpoints}{also}, {in_units((num_checkpoints + best) * size)} in all,"


def in_units(num_bytes: int) -> str:
    """Returns a size as people write it.

    Args:
      num_bytes: the size in bytes.

    >>> in_units(84), in_units(1234), in_units(1_614_000_000)
    ('84 bytes', '1.2 kB', '1.6 GB')
    """
    power = min((len(str(num_bytes)) - 1) // 3, 4)
    value = num_bytes / 1000**power
    return f"{value:.{int(0 < power and value < 10)}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


class Keeper(contextlib.ExitStack):
    """Saves and restores the state of a run together with its data iterator. A context manager.

    Args:
      directory: the folder of the run; checkpoints go to its ``checkpoints``.
      iterator: the iterator of the data, with ``get_state`` and ``set_state``.
      keep: how many checkpoints stay; None for all.

    Raises:
      TypeError: the iterator has no ``get_state`` and ``set_state``.
    """

    def __init__(self, directory: pathlib.Path, iterator: Iterator[Any], *, keep: int | None):
        super().__init__()
        if not (hasattr(iterator, "get_state") and hasattr(iterator, "set_state")):
            raise TypeError(
                f"the iterator of the data is a {type(iterator).__name__} without get_state and set_state: the run "
                "could not continue after a break. Use a Grain dataset: grain.MapDataset.source(rows).to_iter_dataset()"
            )
        self._iterator = iterator
        self._saved = self.enter_context(Checkpoints(directory / "checkpoints", keep=keep))
        self._anchor = 0, iterator.get_state()

    def resume(self, state: TrainState) -> tuple[int, TrainState]:
        """Restores the newest checkpoint, and sets the data iterator accordingly.

        Args:
          state: the initial state; its memory is freed if there is a checkpoint.

        Returns:
          The step of the checkpoint and its state; 0 and ``state`` if there is none.
        """
        step = self._saved.newest()
        if step is None:
            return 0, state
        state, data_state = self._saved.restore(step, state)
        self._iterator.set_state(data_state)
        self._anchor = step, data_state
        return step, state

    def save(self, step: int, state: TrainState):
        """Starts to write a checkpoint; the iterator has just given the batch of that step.

        Args:
          step: how many steps are done.
          state: the state after them.
        """
        self._anchor = step, self._iterator.get_state()
        self._saved.save(step, state, self._anchor[1])

    def wait(self):
        """Returns when everything is on disk."""
        self._saved.wait()

    def rescue(self, state: TrainState, bad: NotFiniteError) -> FloatingPointError:
        """Saves the last good state, with the data just before the batch that broke it.

        Args:
          state: the state after the bad step; it may have been through later steps: they changed nothing.
          bad: what happened at which step.

        Returns:
          The error to raise.
        """
        step, data_state = self._anchor
        good = bad.step - 1
        if good > step:
            self._iterator.set_state(data_state)
            for _ in range(good - step):
                next(self._iterator)
            self.save(good, state._replace(finite=jax.numpy.ones_like(state.finite)))
            self.wait()
        where = f"saved as checkpoint {good} in {self._saved.directory}" if good else "the initial one"
        return FloatingPointError(
            f"{bad.symptom} at step {bad.step} (batch {good} of the data, counted from 0). The state before it is "
            f"{where}, so the same command comes to the same step: lower the learning rate or look at that batch"
        )


class BestKeeper:
    """Keeps the state with the highest score in ``<directory>/best``. A context manager.

    Args:
      directory: the folder of the run.
      iterator: the iterator of the data.
      score: gives the score of an evaluation.
      start: the step from which the run continues; what was kept of later ones goes.
    """

    def __init__(self, directory: pathlib.Path, iterator: Iterator[Any], *, score: Score, start: int):
        self._iterator, self._score = iterator, score
        self._saved = Checkpoints(directory / "best", keep=1)
        self._saved.discard_after(start)
        self._highest, self._since, self._best_step = -math.inf, 0, 0
        for step, evaluation in _evaluations(directory, start):
            self._count(step, score(evaluation))

    def __enter__(self) -> "BestKeeper":
        return self

    def __exit__(self, *exception):
        self._saved.close()

    def consider(self, step: int, state: TrainState, evaluation: Mapping[str, float]):
        """Saves a state when its evaluation is better than all before.

        Args:
          step: how many steps are done.
          state: the state after them.
          evaluation: its metrics by name.
        """
        if self._count(step, self._score(evaluation)):
            self._saved.save(step, state, self._iterator.get_state())
            # On disk before the checkpoint of this step is: a run that continues from there does not come back here.
            self._saved.wait()

    def is_exhausted(self, patience: int | None) -> bool:
        """Says whether so many evaluations in a row were no better than the best.

        Args:
          patience: how many; None for never.
        """
        return patience is not None and self._since >= patience

    def told(self) -> str:
        """The best evaluation in words."""
        return f"the best score, {self._highest:.4g}, is that of step {self._best_step}, {self._since} evaluations ago"

    def _count(self, step: int, score: float) -> bool:
        """Notes an evaluation, and says whether it is the best so far. One that is no number is none."""
        better = score > self._highest
        self._since = 0 if better else self._since + 1
        if better:
            self._highest, self._best_step = score, step
        return better


def _evaluations(directory: pathlib.Path, last_step: int) -> list[tuple[int, dict[str, Any]]]:
    rows = read_metrics(directory) if (directory / METRICS).exists() else []
    evaluations = [
        (row["step"], {name.removeprefix("eval/"): value for name, value in row.items() if name.startswith("eval/")})
        for row in rows
        if row["step"] <= last_step
    ]
    return [(step, evaluation) for step, evaluation in evaluations if evaluation]
