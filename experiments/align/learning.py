"""Training, with evaluations on what is held out, samples on the way, and the best weights where it may stop early."""

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from experiments.align import findings
from experiments.align.methods import METHODS
from experiments.align.plan import Plan, test_batches
from experiments.align.settings import Config
from experiments.align.writing import Writer
from experiments.common import machines
from jaxalign import sharding, training
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.files import write_json
from jaxalign.io.cluster import launch, processes
from jaxalign.io.run import first_steps, loop
from jaxalign.io.run.checkpoints import load_params
from jaxalign.typing import Params

EVALUATIONS = 4  # in a run, by default
TOLERANCE = {"float32": 0.05, "bfloat16": 5.0}
"""Nats a response by which a policy may be off its own stored log-probabilities: the rounding of hundreds of tokens."""


class Held(NamedTuple):
    """What a run is tested on."""

    records: list[PreferenceRecord]
    lists: EncodedLists | None
    logps: np.ndarray | None  # the reference's


def train(
    config: Config, plan: Plan, held: Held, tokenizer: HfTokenizer, directory: pathlib.Path, key: Array
) -> Params:
    """The parameters after training, a copy for each process; the best by evaluation where the run may stop early.

    Raises:
      ValueError: the stored log-probabilities of the reference are those of another model.
    """
    place = {"mesh": machines.mesh(), "rules": machines.RULES}
    evaluate = Evaluation(config, plan, held, tokenizer, directory) if held.lists is not None else None
    every = config.training.eval_every or max(plan.num_steps // EVALUATIONS, 1)
    patience = config.training.patience or None
    if patience and evaluate is None:
        raise ValueError("--patience needs something to test on: pass --test, or a --held-out above 0")
    if evaluate is not None:
        evaluate.sample(0, plan.trained)
    state = loop.fit(
        plan.step,
        training.init_state(plan.trained, plan.optimizer, **place),
        plan.batches,
        key=key,
        num_steps=plan.num_steps,
        directory=directory,
        place=functools.partial(sharding.place_batch, **place),
        eval_fn=evaluate,
        eval_every=every,
        best=functools.partial(score, METHODS[config.loss].reads) if patience else None,
        patience=patience,
        watch=Watch(config, plan.num_steps, directory.name),
        checkpoint_every=every,
    )
    return load_params(directory / "best") if patience else machines.here(state.params)


def score(reads: str, evaluation: Mapping[str, float]) -> float:
    """What early stopping goes by: held-out preference accuracy, or for examples their likelihood."""
    return -evaluation["loss"] if reads == "demonstrations" else evaluation["accuracy"]


class Watch:
    """Looks at the first steps: whether the reference is the model that the run begins with, and what else they say."""

    def __init__(self, config: Config, num_steps: int, name: str):
        self._first_steps = first_steps.FirstSteps(name, num_steps)
        is_own = METHODS[config.loss].reference and not config.reference
        self._tolerance = TOLERANCE[config.training.computing.dtype] if is_own else None

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the metrics of a step."""
        if step == 1 and self._tolerance is not None:
            findings.check_reference(values["log_ratio"], tolerance=self._tolerance)
        self._first_steps(step, values)


class Evaluation:
    """Metrics of held-out records, and responses to a few of their prompts, which go to ``samples`` in the folder."""

    def __init__(self, config: Config, plan: Plan, held: Held, tokenizer: HfTokenizer, directory: pathlib.Path):
        self._place = {"mesh": machines.mesh(), "rules": machines.RULES}
        self._step = training.make_eval_step(plan.loss_fn, **self._place)
        self._batches = test_batches(config, METHODS[config.loss], held.lists, held.logps)
        self._plan, self._directory = plan, directory
        count = 0 if config.loss == "reward" else config.samples
        self._writer = Writer(config, held.records[:count], tokenizer) if count else None

    def __call__(self, state: training.TrainState) -> dict[str, float]:
        """The metrics of a state."""
        batches = (sharding.place_batch(batch, **self._place) for batch in self._batches)
        found = training.evaluate(self._step, state.params, batches, jax.random.key(0))
        self.sample(int(state.step), machines.here(state.params))
        return {name: value for name, value in found.items() if name not in ("tokens", "padding")}

    def sample(self, step: int, trained: Params) -> None:
        """Writes what the policy with these parameters, a copy of this process, says after so many steps, once."""
        path = self._directory / "samples" / f"{step}.json"
        if self._writer is None or processes.first(path.exists):
            return
        said = self._writer(self._plan.trainee.policy(trained))
        if launch.is_main():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, said)


def read_samples(directory: pathlib.Path) -> dict[int, list[dict[str, str]]]:
    """Samples of a run by the step after which they were written."""
    paths = sorted((directory / "samples").glob("*.json"), key=lambda path: int(path.stem))
    return {int(path.stem): json.loads(path.read_text(encoding="utf-8")) for path in paths}
