"""The training loop: one function, with the effects around a pure step.

A run lives in one directory: ``metrics.jsonl``, ``summary.json``, ``tensorboard/``, ``checkpoints/`` and, if asked for,
``best/``. Starting it again continues it: the same batches and keys, hence the same numbers as without the break.
"""

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
from jaxtyping import Array

from jaxalign.io.cluster import launch
from jaxalign.io.run.best import BestKeeper, Keeper, Score, room
from jaxalign.io.run.metrics_log import Logbook, NotFiniteError
from jaxalign.io.run.signals import termination
from jaxalign.io.run.timing import Timing
from jaxalign.io.run.writers import resolve
from jaxalign.numerics import Ratio
from jaxalign.training import TrainState
from jaxalign.training.step import TrainStep

EvalFn = Callable[[TrainState], Mapping[str, Ratio | float | int]]
WatchFn = Callable[[int, Mapping[str, float]], None]

_END = object()
_fold_in = jax.jit(jax.random.fold_in)  # one dispatch per step instead of several


def fit(
    step: TrainStep,
    state: TrainState,
    dataset: Iterable[Any],
    *,
    key: Array,
    num_steps: int,
    directory: str | pathlib.Path,
    name: str | None = None,
    place: Callable[[Any], Any] = lambda batch: batch,
    eval_fn: EvalFn | None = None,
    eval_every: int | None = None,
    best: Score | None = None,
    patience: int | None = None,
    watch: WatchFn | None = None,
    checkpoint_every: int | None = 1000,
    keep: int | None = 2,
    log_every: int = 1,
) -> TrainState:
    """Trains up to step ``num_steps``; continues from ``directory`` when it holds a run.

    Args:
      step: ``step(state, batch, key) -> (state, metrics)``, from :func:`jaxalign.training.make_train_step`.
      state: the start, used up by the first step or replaced by a checkpoint, on whose devices it is then laid out.
      dataset: batches without end; its iterator has ``get_state`` and ``set_state`` with JSON, as Grain's have.
      key: random key; step i, counted from 0, gets ``fold_in(key, i)``.
      num_steps: the last step, counted from 1 over all runs of the command.
      directory: the folder of the run.
      name: what the progress display calls this run, by default the name of ``directory``.
      place: puts a batch on devices, for instance a partial :func:`jaxalign.sharding.place_batch`.
      eval_fn: gives metrics of a state; they are logged as ``eval/<name>``.
      eval_every: steps between evaluations; None for one after the last step only.
      best: scores an evaluation (names without the prefix); the state with the highest score is kept in ``best/``.
      patience: evaluations in a row without a higher score after which the run stops early; None for never. Needs
        ``best``.
      watch: called with the number of each step and its metrics as soon as they have arrived, in every process; for
        instance a :class:`~jaxalign.io.run.first_steps.FirstSteps`.
      checkpoint_every: steps between checkpoints; one more is made at the end, and on SIGTERM.
      keep: how many checkpoints stay (None: all). What they will take on disk is printed at the start.
      log_every: steps between rows of ``metrics.jsonl``; steps with an evaluation and the last have theirs anyway.

    Returns:
      The final state.

    Raises:
      FloatingPointError: a loss or gradient is not finite; the state before that step was saved.
      OSError: a checkpoint or a metric could not be written; earlier checkpoints stay.
      SystemExit: with code 0, after SIGTERM and a checkpoint.
      TypeError: the iterator of ``dataset`` has no ``get_state`` and ``set_state``.
      ValueError: the data ended early, or the checkpoint is of another state; ``patience`` without ``best``.
    """
    if patience is not None and best is None:
        raise ValueError("patience counts evaluations without a better one: pass best, what scores them, as well")
    directory = pathlib.Path(directory)
    iterator = iter(dataset)
    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(Keeper(directory, iterator, keep=keep))
        start, state = keeper.resume(state)
        if start >= num_steps:
            return state
        best_keeper = best and stack.enter_context(BestKeeper(directory, iterator, score=best, start=start))
        if best_keeper and best_keeper.is_exhausted(patience):
            return state
        num_saves = 1 if checkpoint_every is None else -(-num_steps // checkpoint_every)
        stays = room(state, num_saves if keep is None else min(keep, num_saves), best=best is not None)
        _say(f"{name or directory.name}: {stays} in {directory}")
        timing = stack.enter_context(Timing())
        span = {"name": name or directory.name, "start": start, "num_steps": num_steps, "log_every": log_every}
        log = stack.enter_context(Logbook(directory, timing=timing, watch=watch, **span))
        stop_requested = stack.enter_context(termination())
        try:
            for index, batch in _batches(iterator, start, num_steps, timing):
                with timing.calling_step():
                    state, metrics = step(state, place(batch), _fold_in(key, index))
                done = index + 1
                log.add(done, metrics)
                stop = stop_requested(done)
                evaluates = eval_fn is not None and _due(done, eval_every, num_steps)
                saves = stop or _due(done, checkpoint_every, num_steps)
                if evaluates or saves:
                    log.fetch()
                    evaluation = _evaluate(eval_fn, state, timing) if evaluates else {}
                    log.write(evaluation)
                    if evaluates and best_keeper:
                        best_keeper.consider(done, state, evaluation)
                exhausted = evaluates and best_keeper and best_keeper.is_exhausted(patience)
                if saves or exhausted:
                    with timing.waiting("checkpoint"):
                        keeper.save(done, state)
                if stop and done < num_steps:
                    raise SystemExit(0)
                if exhausted:
                    _say(f"{span['name']}: stopped after step {done} of {num_steps}: {best_keeper.told()}")
                    break
        except NotFiniteError as bad:
            raise keeper.rescue(state, bad) from None
        with timing.waiting("checkpoint"):
            keeper.wait()
        log.write_summary()
        for line in filter(None, (timing.report(), timing.advice())):
            _say(f"{span['name']}: {line}")
    return state


def _say(line: str) -> None:
    if launch.is_main():
        print(line, file=sys.stderr)


def _due(done: int, every: int | None, num_steps: int) -> bool:
    return done == num_steps or (every is not None and done % every == 0)


def _batches(iterator: Iterator[Any], start: int, num_steps: int, timing: Timing) -> Iterator[tuple[int, Any]]:
    for index in range(start, num_steps):
        with timing.waiting("data"):
            batch = next(iterator, _END)
        if batch is _END:
            raise ValueError(
                f"the data ended after {index} batches, before num_steps={num_steps}; repeat it (dataset.repeat()) or "
                f"set num_steps={index}"
            )
        yield index, batch


def _evaluate(eval_fn: EvalFn, state: TrainState, timing: Timing) -> dict[str, float]:
    with timing.waiting("eval"):
        return resolve(jax.device_get(dict(eval_fn(state))))
