"""The stages that alignment experiments share: supervised fine-tuning, reference log-probabilities, alignment.

Each stage keeps its own folder and continues it, so a killed experiment repeats nothing but the cheap steps between.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from experiments.common import machines
from experiments.common.fields import Count, CountOrNone, Rate
from experiments.common.task import Policy, Task
from jaxalign import data, models, sharding, training
from jaxalign.data import EncodedLists, HfTokenizer
from jaxalign.io import hf
from jaxalign.io.cluster import launch, processes
from jaxalign.io.run import loop, model_config
from jaxalign.io.run.first_steps import FirstSteps
from jaxalign.typing import LossFn, Params

REFERENCE_BATCH = 8  # lists of which the reference log-probabilities are computed at once


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """Flags of experiments that begin with supervised fine-tuning."""

    sft_steps: Count = 500  # of supervised fine-tuning
    sft_batch: tuple[Count, Count] = (32, 64)  # rows of packed demonstrations, and tokens in each
    sft_learning_rate: Rate = 3e-3  # at its peak


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Flags of experiments that may train adapters instead of all parameters."""

    lora_rank: CountOrNone = 0  # of low-rank adapters; 0: all parameters are trained
    lora_base: Literal["float", "int8", "nf4"] = "float"  # what the frozen base is kept in


@dataclasses.dataclass(frozen=True)
class Computing:
    """Flags of how a model computes."""

    dtype: Literal["float32", "bfloat16"] = "float32"  # what is multiplied; parameters are float32
    remat: Literal["none", "dots", "full"] = "none"  # computed again to spare memory: all but products, or all


def computing(policy: Policy, how: Computing) -> Policy:
    """The policy or reward model, computing as the flags say."""
    config, fields = policy.model.config, dataclasses.asdict(how)
    if isinstance(config, models.RewardConfig):
        config = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, **fields))
    else:
        config = dataclasses.replace(config, **fields)
    return Policy(models.build(config), policy.params)


def start_policy(model: str, size: tuple[int, int], tokenizer: HfTokenizer, max_length: int, key: Array) -> Policy:
    """The pretrained ``model``, or where that is empty a new decoder of this ``size``."""
    return load_policy(model) if model else new_policy(size, tokenizer, max_length, key)


def fine_tune(policy: Policy, task: Task, directory: pathlib.Path, key: Array, tuning: FineTuning) -> Policy:
    """The policy after supervised fine-tuning on the task's demonstrations."""
    return imitate(
        policy,
        task.demonstrations,
        task.tokenizer,
        directory,
        key,
        steps=tuning.sft_steps,
        batch=tuning.sft_batch,
        learning_rate=tuning.sft_learning_rate,
    )


def imitate(
    policy: Policy,
    demonstrations: EncodedLists,
    tokenizer: HfTokenizer,
    directory: pathlib.Path,
    key: Array,
    *,
    steps: int,
    batch: tuple[int, int],
    learning_rate: float,
) -> Policy:
    """The policy after ``steps`` batches of demonstrations; ``batch`` is rows, and tokens in each."""
    loss_fn = training.make_sft_loss(policy.model)
    if isinstance(policy.model, models.Decoder):
        batches = data.sft_batches(demonstrations, batch_size=batch[0], row_length=batch[1], **machines.share())
    else:  # an encoder reads one prompt a row: as many tokens, unpacked
        rows = max(batch[0] * batch[1] // sum(demonstrations.limits), 1)
        batches = data.list_batches(machines.even(demonstrations), batch_size=rows, list_size=1, **machines.share())
    return train(policy, tokenizer, batches, loss_fn, directory, key, steps=steps, learning_rate=learning_rate)


def load_policy(model: str) -> Policy:
    """A pretrained model, of a Hugging Face directory or hub id."""
    config, params = hf.load_pretrained(model)
    return Policy(models.build(config), params)


def new_policy(size: tuple[int, int], tokenizer: HfTokenizer, max_length: int, key: Array) -> Policy:
    """A Qwen3-shaped decoder of this width and number of layers, heads of 32, with random parameters."""
    width, num_layers = size
    heads = max(width // 32, 2)
    config = models.DecoderConfig(
        family="qwen3",
        vocab_size=tokenizer.vocab_size,
        width=width,
        mlp_width=4 * width,
        num_layers=num_layers,
        num_heads=heads,
        num_kv_heads=heads // 2,
        head_dim=width // heads,
        max_length=max_length,
        qk_norm=True,
        tied_embeddings=True,
    )
    model = models.build(config)
    return Policy(model, _new_params(model, key))


@functools.partial(jax.jit, static_argnums=0)
def _new_params(model: models.Decoder, key: Array) -> Params:
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]


def reference_logps(lists: EncodedLists, sft: Policy, directory: pathlib.Path, *, list_size: int) -> np.ndarray:
    """``[N, n]`` nats: every response under the SFT policy, computed once and kept on disk."""
    return data.load_reference_logps(
        directory / "reference",
        lists,
        make_logps_fn(sft),
        model=data.fingerprint((sft.model.config, sft.params)),
        batch_size=REFERENCE_BATCH,
        list_size=list_size,
        map_fn=processes.dealt,
        first_fn=processes.first,
    )


def make_logps_fn(policy: Policy):
    """``logps_fn(ListBatch) -> [B, K]`` for :mod:`jaxalign.data.labelling.reference`."""
    return functools.partial(_response_logps, policy.model, policy.params)


_response_logps = jax.jit(models.response_logps, static_argnums=0)


def align(
    policy: Policy,
    tokenizer: HfTokenizer,
    lists: EncodedLists,
    logps: np.ndarray,
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    *,
    batch: int,
    pack_tokens: int,
    list_size: int,
    adapter: Adapter,
    steps: int,
    learning_rate: float,
) -> Policy:
    """The policy after ``steps`` batches of lists with the reference's ``logps``.

    ``batch`` is lists, or rows of ``pack_tokens`` tokens into which lists are packed.
    """
    options = {"batch_size": batch, "reference_logps": logps, **machines.share()}
    if pack_tokens:
        shape = data.fit_row(lists, list_size=list_size, row_length=pack_tokens)
        batches = data.packed_list_batches(lists, shape, **options)
    else:
        batches = data.list_batches(machines.even(lists), list_size=list_size, **options)
    return train(
        policy, tokenizer, batches, loss_fn, directory, key, adapter=adapter, steps=steps, learning_rate=learning_rate
    )


def train(
    policy: Policy,
    tokenizer: HfTokenizer,
    batches: Iterable[Any],
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    *,
    adapter: Adapter = Adapter(),
    steps: int,
    learning_rate: float,
) -> Policy:
    """The policy after so many batches: all of its parameters, or an adapter, trained.

    ``directory`` gets what ``tools/export_hf.py`` needs beside the checkpoints, or else the adapter.
    """
    sizes = {"steps": steps, "learning_rate": learning_rate}
    if adapter.lora_rank:
        return _train_adapter(policy, batches, loss_fn, directory, key, adapter, **sizes)
    if launch.is_main():
        model_config.save_config(directory, policy.model.config)
        tokenizer.save(directory / "tokenizer")
    return Policy(policy.model, _fit(policy.params, batches, loss_fn, directory, key, **sizes))


def _train_adapter(
    policy: Policy,
    batches: Iterable[Any],
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    adapter: Adapter,
    *,
    steps: int,
    learning_rate: float,
) -> Policy:
    """The policy with a low-rank adapter of all its linear maps, alpha twice the rank, that has seen so many batches.

    ``directory / "adapter"`` has the adapter in PEFT's format; the policy that is returned has it merged into the base
    that it was trained on, in floats again.
    """
    config = models.LoraConfig(rank=adapter.lora_rank, alpha=2.0 * adapter.lora_rank)
    base = adapter.lora_base
    params = policy.params if base == "float" else models.quantize_base(policy.params, base)
    init_key, key = jax.random.split(key)
    factors = _init_lora(init_key, params, config)
    loss_fn = models.lora_loss(loss_fn, machines.everywhere(params), config)
    factors = _fit(factors, batches, loss_fn, directory, key, steps=steps, learning_rate=learning_rate)
    if launch.is_main():
        hf.save_adapter(directory / "adapter", policy.model.config, factors, config)
    return Policy(policy.model, _merge_lora(params, factors, config))


# Compiled, because operation by operation they are many small programs.
_init_lora = jax.jit(models.init_lora, static_argnums=2)
_merge_lora = jax.jit(models.merge_lora, static_argnums=2)


def export(directory: pathlib.Path, policy: Policy, tokenizer: HfTokenizer) -> None:
    """Writes a model in Hugging Face format."""
    if launch.is_main():
        hf.save_pretrained(directory, policy.model.config, policy.params, tokenizer)


def _fit(
    params: Params,
    batches: Iterable[Any],
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    *,
    steps: int,
    learning_rate: float,
) -> Params:
    """AdamW with warm-up over a twentieth of the steps and linear decay, on all devices."""
    place = {"mesh": machines.mesh(), "rules": machines.RULES}
    optimizer, make_step = _optimizer(steps, learning_rate, place["mesh"])
    state = loop.fit(
        make_step(loss_fn),
        training.init_state(params, optimizer, **place),
        batches,
        key=key,
        num_steps=steps,
        directory=directory,
        place=functools.partial(sharding.place_batch, **place),
        checkpoint_every=max(steps // 4, 1),
        watch=FirstSteps(directory.name, steps),
    )
    return machines.here(state.params)


@functools.lru_cache(maxsize=16)
def _optimizer(num_steps: int, learning_rate: float, mesh: Mesh):
    """An optimizer and its maker of steps, kept: seeds, and methods that differ in their data, share a program."""
    schedule = training.linear_schedule(learning_rate, num_steps=num_steps, warmup_steps=num_steps // 20)
    optimizer = training.adamw(schedule)
    return optimizer, training.train_step_maker(optimizer, mesh=mesh, rules=machines.RULES)
