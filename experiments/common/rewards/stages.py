"""The stages that reward model experiments share: a backbone, training on pairs, scoring."""

import functools
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.rewards.task import Opinion, OpinionFn, RewardTask
from experiments.common.task import Policy
from jaxalign import data, losses, metrics, models, numerics
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.io import hf
from jaxalign.io.cluster import processes
from jaxalign.typing import LossFn

BATCH = 64  # lists that are scored at once, LIST_SIZE responses of each
LIST_SIZE = 2


def start_backbone(config, task: RewardTask, directory: pathlib.Path, key: Array) -> Policy:
    """``config.backbone``, or a small decoder that has learnt to imitate demonstrations."""
    if config.backbone:
        return stages.load_policy(config.backbone)
    init_key, imitate_key = jax.random.split(key)
    return stages.imitate(
        stages.new_policy(config.size, task.tokenizer, sum(task.demonstrations.limits), init_key),
        task.demonstrations,
        task.tokenizer,
        directory / "backbone",
        imitate_key,
        steps=config.pretrain_steps,
        batch=config.pretrain_batch,
        learning_rate=config.pretrain_learning_rate,
    )


def on_backbone(backbone: Policy, key: Array) -> Policy:
    """A scalar reward model with a fresh head, on the end of a response or on an encoder's first token."""
    config = backbone.model.config
    pooling = "first" if isinstance(config, models.EncoderConfig) else "last"
    model = models.build(models.RewardConfig(config, pooling=pooling))
    return Policy(model, models.init_reward_params(model, key, backbone.params))


def train_reward(config, task: RewardTask, pairs, start: Policy, directory: pathlib.Path, key: Array) -> Policy:
    """The reward model after ``config.steps`` batches of ``pairs``, a Grain data set of one epoch."""
    batches = data.pair_batches(
        pairs.repeat(), task.tokenizer, batch_size=config.batch, **limits(config), **machines.share()
    )
    sizes = {"steps": config.steps, "learning_rate": config.learning_rate}
    return stages.train(start, task.tokenizer, batches, make_reward_loss(start.model), directory, key, **sizes)


def export(directory: pathlib.Path, reward: Policy, task: RewardTask) -> None:
    """In Hugging Face format, where transformers has such a classifier; others stay checkpoints."""
    if hf.FAMILIES[reward.model.config.family].classifier is not None:
        stages.export(directory, reward, task.tokenizer)


@functools.cache
def make_reward_loss(model) -> LossFn:
    """Bradley-Terry on the two responses of each pair, whose labels are their chances of winning."""

    def loss_fn(params, batch, key):
        first, second = models.response_rewards(model, params, batch).T
        chance = batch.labels[:, 0]
        loss = losses.bradley_terry_loss(first, second, chance, reduce_fn=numerics.ratio)
        return loss, {
            "accuracy": metrics.preference_accuracy_metric(first, second, chance),
            "margin": numerics.ratio((first - second) * (2 * chance - 1), where=chance != 0.5),
            "tokens": stages.count_tokens(batch),
        }

    return loss_fn


def make_judge(config, task: RewardTask, reward: Policy) -> OpinionFn:
    """Rewards of all responses of records, and what they say of each two."""

    def judge_fn(records: Sequence[PreferenceRecord]) -> Opinion:
        scores = score(config, task, reward, records)
        return Opinion(scores, np.asarray(losses.preferences_from_rewards(jnp.nan_to_num(scores))))

    return judge_fn


def score(config, task: RewardTask, reward: Policy, records: Sequence[PreferenceRecord]) -> np.ndarray:
    """``[N, n]``: rewards, NaN where a record has fewer responses."""
    lists = data.encode_reward_lists(records, task.tokenizer, **limits(config))
    reward_fn = functools.partial(_response_rewards, reward.model, reward.params)
    return data.score_lists(lists, reward_fn, batch_size=BATCH, list_size=LIST_SIZE, map_fn=processes.dealt)


def probabilities(config, task: RewardTask, reward: Policy, pairs: Sequence[PreferencePair]) -> np.ndarray:
    """``[N]``: that the first response of each pair wins."""
    rewards = score(config, task, reward, [data.probability_record(pair) for pair in pairs])
    return np.asarray(jax.nn.sigmoid(rewards[:, 0] - rewards[:, 1]))


def limits(config) -> dict[str, int]:
    """The most tokens of a prompt and of a response."""
    return {"max_prompt": config.limits[0], "max_response": config.limits[1]}


_response_rewards = jax.jit(models.response_rewards, static_argnums=0)
