"""Three kinds of reward model, each trained from one backbone into a judge."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.rewards.stages import at_most, export, make_judge, on_backbone, train_reward
from experiments.common.rewards.task import Opinion, OpinionFn, RewardTask
from experiments.common.task import Policy, Task
from jaxalign import data, losses, models, training
from jaxalign.data import EncodedLists, PreferenceRecord
from jaxalign.io.cluster import processes
from jaxalign.typing import ComparisonFormat, PreferenceFn


class Sizes(NamedTuple):
    """How reward models are trained."""

    limits: tuple[int, int]  # tokens of a prompt and of a response
    batch: int  # pairs; lists make up as many responses
    list_size: int  # responses of a list of listwise training
    steps: int  # of the kinds that score one response
    verdict_steps: int  # of the pairwise kind, which learns from one token a comparison
    learning_rate: float  # at its peak


def train_bradley_terry(
    sizes: Sizes, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array
) -> OpinionFn:
    """A number for each response, from pairs."""
    reward = train_reward(
        task,
        data.training_pairs(task.pairs, []),
        on_backbone(backbone, key),
        directory,
        key,
        limits=sizes.limits,
        batch=sizes.batch,
        steps=sizes.steps,
        learning_rate=sizes.learning_rate,
    )
    export(directory / "hf", reward, task)
    return make_judge(task, reward, limits=sizes.limits)


def train_listwise(sizes: Sizes, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array) -> OpinionFn:
    """A number for each response, from graded lists; a batch holds as many responses as one of pairs."""
    reward = on_backbone(backbone, key)
    lists = data.encode_reward_lists(task.lists, task.tokenizer, **at_most(sizes.limits))
    batches = data.list_batches(
        machines.even(lists),
        batch_size=max(2 * sizes.batch // sizes.list_size, 1),
        list_size=sizes.list_size,
        **machines.share(),
    )
    loss_fn = training.make_reward_ranking_loss(reward.model)
    of_run = {"steps": sizes.steps, "learning_rate": sizes.learning_rate}
    reward = stages.train(reward, task.tokenizer, batches, loss_fn, directory, key, **of_run)
    export(directory / "hf", reward, task)
    return make_judge(task, reward, limits=sizes.limits)


def train_pairwise(sizes: Sizes, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array) -> OpinionFn:
    """Writes which of two responses is better; a list is scored by its labels from all comparisons."""
    records = [data.probability_record(pair) for pair in task.pairs]
    form = data.comparison_format(task.tokenizer)

    def encode(records: Sequence[PreferenceRecord]) -> EncodedLists:
        return data.encode_comparison_lists(records, task.tokenizer, form, **at_most(sizes.limits))

    policy = train_comparisons(
        task,
        form,
        encode(records),
        backbone,
        directory,
        key,
        batch=sizes.batch,
        steps=sizes.verdict_steps,
        learning_rate=sizes.learning_rate,
    )
    stages.export(directory / "hf", policy, task.tokenizer)
    preference_fn = make_preference_fn(policy, form)

    def judge_fn(records: Sequence[PreferenceRecord]) -> Opinion:
        chances = data.compare_lists(encode(records), preference_fn, batch_size=1, map_fn=processes.dealt)
        real = np.isfinite(chances).any(axis=2)
        labels = losses.labels_from_preferences(jnp.asarray(np.nan_to_num(chances)), where=jnp.asarray(real))
        return Opinion(np.asarray(labels), chances)

    return judge_fn


def train_comparisons(
    task: Task | RewardTask,
    form: ComparisonFormat,
    lists: EncodedLists,
    start: Policy,
    directory: pathlib.Path,
    key: Array,
    *,
    batch: int,
    steps: int,
    learning_rate: float,
) -> Policy:
    """A decoder that says which of any two responses of a list is better, as the higher label does."""
    row_length = machines.even_length(data.comparison_length(lists, form))
    batches = data.comparison_batches(lists, form, batch_size=batch, row_length=row_length, **machines.share())
    loss_fn = training.make_verdict_loss(start.model, form)
    return stages.train(
        start, task.tokenizer, batches, loss_fn, directory, key, steps=steps, learning_rate=learning_rate
    )


def make_preference_fn(policy: Policy, form: ComparisonFormat) -> PreferenceFn:
    """A jitted :data:`jaxalign.typing.PreferenceFn`."""
    return functools.partial(_comparison_preferences, policy.model, policy.params, form=form)


_comparison_preferences = jax.jit(models.comparison_preferences, static_argnames=("model", "form"))

Train = Callable[[Sizes, RewardTask, Policy, pathlib.Path, Array], OpinionFn]
TRAIN: dict[str, Train] = {
    "bradley-terry": train_bradley_terry,
    "listwise": train_listwise,
    "pairwise": train_pairwise,
}
