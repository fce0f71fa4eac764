"""What a run will do: batches, steps, the rate, the optimizer and its step, ready to be counted or run."""

from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from jaxtyping import Array

from experiments.align import start
from experiments.align.methods import METHODS, Method, default_rate
from experiments.align.settings import Config
from experiments.common import machines
from experiments.common.task import Policy
from jaxalign import data, models, training
from jaxalign.data import EncodedLists
from jaxalign.training.step import TrainStep
from jaxalign.typing import LossFn, Params

SCHEDULES = {
    "linear": training.linear_schedule,
    "cosine": training.cosine_schedule,
    "constant": training.constant_schedule,
}
OPTIMIZERS = {"adamw": training.adamw, "adafactor": training.adafactor}


class Plan(NamedTuple):
    """What is trained, on what, and how."""

    batches: grain.IterDataset
    num_steps: int
    step: TrainStep
    optimizer: Any
    loss_fn: LossFn
    trained: Params  # all parameters, or an adapter's
    trainee: "Trainee"


class Trainee(NamedTuple):
    """How parameters that are trained make a policy: they are its own, or an adapter's on a base."""

    start: Policy
    base: Params | None = None
    lora: models.LoraConfig | None = None

    def begun(self, trained: Params) -> Policy:
        """The policy before the first step, which is its own reference: on a base in few bits not quite the start."""
        exact = self.base is None or self.base is self.start.params
        return self.start if exact else self.policy(trained)

    def policy(self, trained: Params) -> Policy:
        """The policy with these parameters, of which this process has a copy."""
        params = trained if self.lora is None else _merge_lora(self.base, trained, self.lora)
        return Policy(self.start.model, params)


_init_lora = jax.jit(models.init_lora, static_argnums=2)
_merge_lora = jax.jit(models.merge_lora, static_argnums=2)


def make_plan(config: Config, trainee: Trainee, trained: Params, lists: EncodedLists, logps: np.ndarray | None) -> Plan:
    """Puts together everything that training takes.

    Args:
      trainee, trained: what :func:`make_trainee` made.
      logps: the reference's, ``[N, n]`` nats; None for losses without one.
    """
    method, options = METHODS[config.loss], config.training
    batches = make_batches(config, method, lists, logps)
    num_steps = options.steps or max(round(options.epochs * epoch_length(config, method, lists)), 1)
    sizes = {"num_steps": num_steps, "warmup_steps": int(options.warmup * num_steps)}
    schedule = SCHEDULES[options.schedule](learning_rate(config), **sizes)
    optimizer = OPTIMIZERS[options.optimizer](schedule, weight_decay=options.weight_decay)
    loss_fn = start.make_loss(config, trainee.start.model)
    if trainee.lora is not None:
        loss_fn = models.lora_loss(loss_fn, machines.everywhere(trainee.base), trainee.lora)
    step = training.make_train_step(
        loss_fn, optimizer, mesh=machines.mesh(), rules=machines.RULES, accumulate=options.accumulate
    )
    return Plan(batches, num_steps, step, optimizer, loss_fn, trained, trainee)


def learning_rate(config: Config) -> float:
    """The peak rate: the config's, or the usual one of the loss for a pretrained model."""
    given = config.training.learning_rate
    return default_rate(config.loss, adapter=config.training.adapter.lora_rank > 0) if given is None else given


def make_trainee(config: Config, policy: Policy, key: Array) -> tuple[Trainee, Params]:
    """What is trained at first, and how it makes a policy."""
    rank, base = config.training.adapter.lora_rank, config.training.adapter.lora_base
    if not rank:
        return Trainee(policy), policy.params
    lora = models.LoraConfig(rank=rank, alpha=2.0 * rank)
    params = policy.params if base == "float" else models.quantize_base(policy.params, base)
    return Trainee(policy, params, lora), _init_lora(key, params, lora)


def make_batches(
    config: Config, method: Method, lists: EncodedLists, logps: np.ndarray | None, *, num_epochs: int | None = None
) -> grain.IterDataset:
    """Batches to learn from, without end or for some epochs, in each of which a prompt comes up once."""
    options = {"batch_size": config.training.batch, "seed": config.seed, "num_epochs": num_epochs, **machines.share()}
    row_length, size = config.training.pack_tokens, start.list_size(config, method, lists)
    if not row_length:
        return data.list_batches(lists, list_size=size, reference_logps=logps, **options)
    if method.reads == "demonstrations":
        return data.sft_batches(lists, row_length=row_length, **options)
    shape = data.fit_row(lists, list_size=size, row_length=row_length)
    return data.packed_list_batches(lists, shape, reference_logps=logps, **options)


def test_batches(config: Config, method: Method, lists: EncodedLists, logps: np.ndarray | None) -> grain.IterDataset:
    """Batches of held-out records, each once and in their order, with the first responses of long lists."""
    size = start.list_size(config, method, lists)
    options = {"shuffle": False, "num_epochs": 1, "drop_remainder": False, **machines.share()}
    return data.list_batches(lists, batch_size=config.training.batch, list_size=size, reference_logps=logps, **options)


def epoch_length(config: Config, method: Method, lists: EncodedLists) -> int:
    """Batches of an epoch; how many rows there are shows when they are packed."""
    if not config.training.pack_tokens:
        return len(lists) // config.training.batch
    return sum(1 for _ in make_batches(config, method, lists, None, num_epochs=1))
