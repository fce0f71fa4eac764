"""The stages that reward model experiments share: a backbone, training on pairs, scoring."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.fields import Count, Rate
from experiments.common.rewards.task import Opinion, OpinionFn, RewardTask
from experiments.common.task import Policy
from jaxalign import data, losses, models, training
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.io import hf
from jaxalign.io.cluster import processes

BATCH = 64  # lists that are scored at once, LIST_SIZE responses of each
LIST_SIZE = 2


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Flags of experiments whose backbone from scratch first learns to imitate demonstrations."""

    pretrain_steps: Count = 400  # of the decoder from scratch, on demonstrations
    pretrain_batch: tuple[Count, Count] = (32, 64)  # rows, and tokens in each
    pretrain_learning_rate: Rate = 3e-3  # at its peak


def start_backbone(
    model: str,
    size: tuple[int, int],
    computing: stages.Computing,
    pretraining: Pretraining,
    task: RewardTask,
    directory: pathlib.Path,
    key: Array,
) -> Policy:
    """The pretrained ``model``, or where that is empty a decoder of this ``size`` that has learnt demonstrations."""
    init_key, imitate_key = jax.random.split(key)
    start = stages.start_policy(model, size, task.tokenizer, sum(task.demonstrations.limits), init_key)
    start = stages.computing(start, computing)
    if model:
        return start
    return stages.imitate(
        start,
        task.demonstrations,
        task.tokenizer,
        directory / "backbone",
        imitate_key,
        steps=pretraining.pretrain_steps,
        batch=pretraining.pretrain_batch,
        learning_rate=pretraining.pretrain_learning_rate,
    )


def on_backbone(backbone: Policy, key: Array) -> Policy:
    """A scalar reward model with a fresh head, on the end of a response or on an encoder's first token."""
    config = backbone.model.config
    pooling = "first" if isinstance(config, models.EncoderConfig) else "last"
    model = models.build(models.RewardConfig(config, pooling=pooling))
    return Policy(model, models.init_reward_params(model, key, backbone.params))


def train_reward(
    task: RewardTask,
    pairs: grain.MapDataset[PreferencePair],
    start: Policy,
    directory: pathlib.Path,
    key: Array,
    *,
    limits: tuple[int, int],
    batch: int,
    steps: int,
    learning_rate: float,
) -> Policy:
    """The reward model after ``steps`` batches of ``pairs``, a Grain data set of one epoch."""
    batches = data.pair_batches(pairs.repeat(), task.tokenizer, batch_size=batch, **at_most(limits), **machines.share())
    loss_fn, sizes = training.make_reward_loss(start.model), {"steps": steps, "learning_rate": learning_rate}
    return stages.train(start, task.tokenizer, batches, loss_fn, directory, key, **sizes)


def export(directory: pathlib.Path, reward: Policy, task: RewardTask) -> None:
    """Writes a model in Hugging Face format, where transformers has such a classifier; others stay checkpoints."""
    if hf.FAMILIES[reward.model.config.family].classifier is not None:
        stages.export(directory, reward, task.tokenizer)


def make_judge(task: RewardTask, reward: Policy, *, limits: tuple[int, int]) -> OpinionFn:
    """Rewards of all responses of records, and what they say of each two."""

    def judge_fn(records: Sequence[PreferenceRecord]) -> Opinion:
        scores = score(task, reward, records, limits=limits)
        return Opinion(scores, np.asarray(losses.preferences_from_rewards(jnp.nan_to_num(scores))))

    return judge_fn


def score(
    task: RewardTask, reward: Policy, records: Sequence[PreferenceRecord], *, limits: tuple[int, int]
) -> np.ndarray:
    """``[N, n]``: rewards, NaN where a record has fewer responses."""
    lists = data.encode_reward_lists(records, task.tokenizer, **at_most(limits))
    reward_fn = functools.partial(_response_rewards, reward.model, reward.params)
    return data.score_lists(lists, reward_fn, batch_size=BATCH, list_size=LIST_SIZE, map_fn=processes.dealt)


def probabilities(
    task: RewardTask, reward: Policy, pairs: Sequence[PreferencePair], *, limits: tuple[int, int]
) -> np.ndarray:
    """``[N]``: the chance that the first response of each pair wins."""
    rewards = score(task, reward, [data.probability_record(pair) for pair in pairs], limits=limits)
    return np.asarray(jax.nn.sigmoid(rewards[:, 0] - rewards[:, 1]))


def at_most(limits: tuple[int, int]) -> dict[str, int]:
    """The most tokens of a prompt and of a response, as functions that encode records take them."""
    return {"max_prompt": limits[0], "max_response": limits[1]}


_response_rewards = jax.jit(models.response_rewards, static_argnums=0)
