"""The steps that can be planned: what each is fed, its loss, and its work."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxalign import training
from jaxalign.models import DecoderConfig, ModelConfig, RewardConfig
from jaxalign.typing import LossFn, TokenBatch
from tools.benchmarks import flops
from tools.benchmarks.batches import Rows, Sizes, random_lists

StepName = Literal["sft", "dpo", "lipo", "reward"]


class Workload(NamedTuple):
    """A batch of lists (of pairs, for dpo and reward), or of packed rows of ``row_examples`` examples each (sft)."""

    step: StepName
    batch: int  # lists or rows, over all devices
    prompt: int  # tokens
    response: int  # tokens
    list_size: int = 8
    row_examples: int = 1

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.batch, self.prompt, self.list_size, self.response)

    @property
    def rows(self) -> Rows:
        return Rows(self.batch, self.row_examples, self.prompt + self.response)

    def describe(self) -> str:
        """Describes the workload in words."""
        texts = f"prompts of {self.prompt} and responses of {self.response} tokens"
        if self.step == "sft":
            examples = "example" if self.row_examples == 1 else "examples"
            return f"{self.batch} rows of {self.row_examples} {examples}, {texts}"
        return f"{self.batch} lists of {self.list_size} responses, {texts}"


class Step(NamedTuple):
    """What distinguishes one step from the others."""

    batch: Callable[[Workload], Any]
    loss: Callable[[Any], LossFn]
    work: Callable[[DecoderConfig, Workload], flops.Work]
    model: Callable[[DecoderConfig], ModelConfig] = lambda config: config


def _row_batch(workload: Workload) -> TokenBatch:
    b, examples, length = workload.rows
    dtypes = TokenBatch(jnp.int32, jnp.int32, jnp.bool_, jnp.int32, jnp.int32)
    return TokenBatch(*(jax.ShapeDtypeStruct((b, examples * length), dtype) for dtype in dtypes))


def _list_batch(workload: Workload):
    return jax.eval_shape(functools.partial(random_lists, workload.sizes, 2))


def _list_work(config, workload):
    return flops.list_work(config, workload.sizes)


STEPS: Mapping[StepName, Step] = {
    "sft": Step(_row_batch, training.make_sft_loss, lambda config, workload: flops.row_work(config, workload.rows)),
    "dpo": Step(_list_batch, functools.partial(training.make_dpo_loss, beta=0.1), _list_work),
    "lipo": Step(_list_batch, functools.partial(training.make_ranking_loss, beta=0.05), _list_work),
    "reward": Step(
        _list_batch,
        training.make_reward_loss,
        lambda config, workload: flops.reward_work(config, workload.sizes),
        model=RewardConfig,
    ),
}
PAIRS = ("dpo", "reward")
"""Steps on lists of two."""
