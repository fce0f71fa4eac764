"""Three kinds of reward model, each trained from one backbone into a judge."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.rewards.stages import export, limits, make_judge, on_backbone, train_reward
from experiments.common.rewards.task import Opinion, OpinionFn, RewardTask
from experiments.common.task import Policy
from jaxalign import data, losses, metrics, models, numerics
from jaxalign.data import PreferenceRecord
from jaxalign.io.cluster import processes
from jaxalign.typing import LossFn


def train_bradley_terry(config, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array) -> OpinionFn:
    """A number for each response, from pairs."""
    reward = on_backbone(backbone, key)
    reward = train_reward(config, task, data.training_pairs(task.pairs, []), reward, directory, key)
    export(directory / "hf", reward, task)
    return make_judge(config, task, reward)


def train_listwise(config, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array) -> OpinionFn:
    """A number for each response, from graded lists; a batch holds as many responses as one of pairs."""
    reward = on_backbone(backbone, key)
    lists = data.encode_reward_lists(task.lists, task.tokenizer, **limits(config))
    size = max(2 * config.batch // config.list_size, 1)
    batches = data.list_batches(machines.even(lists), batch_size=size, list_size=config.list_size, **machines.share())
    sizes = {"steps": config.steps, "learning_rate": config.learning_rate}
    loss_fn = make_listwise_loss(reward.model)
    reward = stages.train(reward, task.tokenizer, batches, loss_fn, directory, key, **sizes)
    export(directory / "hf", reward, task)
    return make_judge(config, task, reward)


def train_pairwise(config, task: RewardTask, backbone: Policy, directory: pathlib.Path, key: Array) -> OpinionFn:
    """Writes which of two responses is better; a list is scored by its labels from all comparisons."""
    records = [data.probability_record(pair) for pair in task.pairs]
    form = data.comparison_format(task.tokenizer)

    def encode(records):
        return data.encode_comparison_lists(records, task.tokenizer, form, **limits(config))

    sizes = {"batch": config.batch, "steps": config.verdict_steps, "learning_rate": config.learning_rate}
    policy = train_comparisons(task, form, encode(records), backbone, directory, key, **sizes)
    stages.export(directory / "hf", policy, task.tokenizer)
    preference_fn = make_preference_fn(policy, form)

    def judge_fn(records: Sequence[PreferenceRecord]) -> Opinion:
        chances = data.compare_lists(encode(records), preference_fn, batch_size=1, map_fn=processes.dealt)
        real = np.isfinite(chances).any(axis=2)
        labels = losses.labels_from_preferences(jnp.asarray(np.nan_to_num(chances)), where=jnp.asarray(real))
        return Opinion(np.asarray(labels), chances)

    return judge_fn


def train_comparisons(
    task,
    form,
    lists,
    start: Policy,
    directory: pathlib.Path,
    key: Array,
    *,
    batch: int,
    **sizes,
) -> Policy:
    """A decoder that says which of any two responses of a list is better, as the higher label does.

    ``sizes`` are the ``steps`` and ``learning_rate`` of :func:`~experiments.common.stages.train`.
    """
    row_length = machines.even_length(data.comparison_length(lists, form))
    batches = data.comparison_batches(lists, form, batch_size=batch, row_length=row_length, **machines.share())
    loss_fn = make_comparison_loss(start.model, form)
    return stages.train(start, task.tokenizer, batches, loss_fn, directory, key, **sizes)


@functools.cache
def make_listwise_loss(model) -> LossFn:
    """LiPO's lambda loss with rewards as scores."""

    def loss_fn(params, batch, key):
        rewards = models.response_rewards(model, params, batch)
        loss = losses.lambda_loss(rewards, batch.labels, where=batch.where, key=key, reduce_fn=numerics.ratio)
        return loss, {"accuracy": metrics.pairwise_accuracy_metric(rewards, batch.labels, where=batch.where)}

    return loss_fn


@functools.cache
def make_comparison_loss(model, form) -> LossFn:
    """Cross-entropy of the verdict."""

    def loss_fn(params, batch, key):
        logps = models.verdict_logps(model, params, batch, form)
        said, meant = logps.argmax(axis=-1), batch.verdicts.argmax(axis=-1)
        loss = losses.verdict_loss(logps, batch.verdicts, where=batch.where, reduce_fn=numerics.ratio)
        return loss, {"accuracy": numerics.ratio(1.0 * (said == meant), where=batch.where)}

    return loss_fn


def make_preference_fn(policy: Policy, form):
    """A jitted :data:`jaxalign.typing.PreferenceFn`."""
    return functools.partial(_comparison_preferences, policy.model, policy.params, form=form)


_comparison_preferences = jax.jit(models.comparison_preferences, static_argnames=("model", "form"))

Train = Callable[[Any, RewardTask, Policy, pathlib.Path, Array], OpinionFn]
TRAIN: dict[str, Train] = {
    "bradley-terry": train_bradley_terry,
    "listwise": train_listwise,
    "pairwise": train_pairwise,
}
