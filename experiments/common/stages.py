"""The stages that alignment experiments share: supervised fine-tuning, reference log-probabilities, alignment.

Each stage keeps its own folder and continues it, so a killed experiment repeats nothing but the cheap steps between.
"""

import dataclasses
import functools
import pathlib
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common import machines
from experiments.common.task import Policy, Task
from jaxalign import data, losses, models, numerics, sharding, training
from jaxalign.data import EncodedLists, HfTokenizer
from jaxalign.io import hf
from jaxalign.io.cluster import launch, processes
from jaxalign.io.run import loop, model_config
from jaxalign.typing import ListBatch, LossFn, PackedListBatch, Params

Base = Literal["float", "int8", "nf4"]  # of an adapter: as it is, or quantised
REFERENCE_BATCH = 8  # lists of which the reference log-probabilities are computed at once


def fine_tune(config, task: Task, directory: pathlib.Path, init_key: Array, key: Array) -> Policy:
    """Supervised fine-tuning on the demonstrations, of ``config.model`` or of a new small decoder."""
    max_length = sum(task.demonstrations.limits)
    new = functools.partial(new_policy, config.size, task.tokenizer, max_length, init_key)
    policy = load_policy(config.model) if config.model else new()
    return imitate(
        Policy(models.build(dataclasses.replace(policy.model.config, dtype=config.dtype)), policy.params),
        task.demonstrations,
        task.tokenizer,
        directory,
        key,
        steps=config.sft_steps,
        batch=config.sft_batch,
        learning_rate=config.sft_learning_rate,
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
    if isinstance(policy.model, models.Decoder):
        loss_fn = make_sft_loss(policy.model)
        batches = data.sft_batches(demonstrations, batch_size=batch[0], row_length=batch[1], **machines.share())
    else:  # an encoder reads one prompt a row: as many tokens, unpacked
        loss_fn, rows = make_response_loss(policy.model), max(batch[0] * batch[1] // sum(demonstrations.limits), 1)
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
def _new_params(model, key: Array) -> Params:
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]


@functools.cache
def make_response_loss(model) -> LossFn:
    """Mean cross-entropy of the response tokens of lists, for any model."""

    def loss_fn(params, batch, key):
        logps = models.response_token_logps(model, params, batch)
        loss = losses.sft_loss(logps, where=real_tokens(batch), reduce_fn=numerics.ratio)
        return loss, {"tokens": count_tokens(batch)}

    return loss_fn


def real_tokens(batch: ListBatch) -> Array:
    """``[B, K, R]``: True for the tokens of responses that are there."""
    return batch.response_mask & batch.where[:, :, None]


def count_tokens(batch: ListBatch | PackedListBatch) -> numerics.Ratio:
    """Of prompts and responses, as a metric that adds up over microbatches."""
    padding, total = data.padding_share(batch)
    return numerics.Ratio(total - padding, np.float32(1))


@functools.cache
def make_sft_loss(model) -> LossFn:
    """Mean cross-entropy of the response tokens of packed rows."""

    def loss_fn(params, batch, key):
        return _sft_loss(model, params, batch, segment_ids=batch.segment_ids, positions=batch.positions)

    return loss_fn


def make_unpacked_sft_loss(model) -> LossFn:
    """:func:`make_sft_loss` of rows of one example each, padded on the right.

    No real token sees what follows it, so nothing has to be hidden, and cuDNN's causal kernel needs no mask.
    """
    return lambda params, batch, key: _sft_loss(model, params, batch)


def _sft_loss(model, params: Params, batch, **arguments):
    hidden = model.apply({"params": params}, batch.tokens, **arguments, method="hidden")
    loss = losses.cross_entropy_loss(
        hidden,
        models.unembedding(model.config, params),
        batch.targets,
        where=batch.loss_mask,
        logit_softcap=model.config.logit_softcap,
        reduce_fn=numerics.ratio,
    )
    return loss, {"tokens": numerics.ratio(1.0 * (batch.segment_ids > 0))._replace(denominator=np.float32(1))}


def reference_logps(config, lists: EncodedLists, sft: Policy, directory: pathlib.Path) -> np.ndarray:
    """``[N, n]``: of every response under the SFT policy, computed once and kept on disk."""
    return data.load_reference_logps(
        directory / "reference",
        lists,
        make_logps_fn(sft),
        model=data.fingerprint((sft.model.config, sft.params)),
        batch_size=REFERENCE_BATCH,
        list_size=config.list_size,
        map_fn=processes.dealt,
        first_fn=processes.first,
    )


def make_logps_fn(policy: Policy):
    """``logps_fn(ListBatch) -> [B, K]`` for :mod:`jaxalign.data.labelling.reference`."""
    return functools.partial(_response_logps, policy.model, policy.params)


_response_logps = jax.jit(models.response_logps, static_argnums=0)


def align(
    config,
    task: Task,
    lists: EncodedLists,
    logps: np.ndarray,
    sft: Policy,
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
) -> Policy:
    """The policy after ``config.steps`` batches of lists, from the SFT policy on.

    ``config.batch`` is lists and 0, or rows and tokens in each, into which lists are packed.
    """
    batch_size, row_length = config.batch
    options = {"batch_size": batch_size, "reference_logps": logps, **machines.share()}
    if row_length:
        shape = data.fit_row(lists, list_size=config.list_size, row_length=row_length)
        batches = data.packed_list_batches(lists, shape, **options)
    else:
        batches = data.list_batches(machines.even(lists), list_size=config.list_size, **options)
    sizes = {"steps": config.steps, "learning_rate": config.learning_rate}
    if config.lora[0]:
        return train_adapter(sft, batches, loss_fn, directory, key, lora=config.lora, **sizes)
    return train(sft, task.tokenizer, batches, loss_fn, directory, key, **sizes)


def train(
    policy: Policy,
    tokenizer: HfTokenizer,
    batches,
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    *,
    steps: int,
    learning_rate: float,
) -> Policy:
    """The policy after so many batches; ``directory`` gets what ``tools/export_hf.py`` needs beside the checkpoints."""
    if launch.is_main():
        model_config.save_config(directory, policy.model.config)
        tokenizer.save(directory / "tokenizer")
    return Policy(policy.model, _fit(policy.params, batches, loss_fn, directory, key, steps, learning_rate))


def train_adapter(
    policy: Policy,
    batches,
    loss_fn: LossFn,
    directory: pathlib.Path,
    key: Array,
    *,
    lora: tuple[int, Base],
    steps: int,
    learning_rate: float,
) -> Policy:
    """The policy with a low-rank adapter of all its linear maps, alpha twice the rank, that has seen so many batches.

    ``lora`` is the rank, and in what the frozen base is kept. ``directory / "adapter"`` has the adapter in the format
    of peft; the policy that is returned has it merged into the base that it was trained on, in floats again.
    """
    rank, base = lora
    config = models.LoraConfig(rank=rank, alpha=2.0 * rank)
    params = policy.params if base == "float" else models.quantize_base(policy.params, base)
    init_key, key = jax.random.split(key)
    adapter = _init_lora(init_key, params, config)
    loss_fn = models.lora_loss(loss_fn, machines.everywhere(params), config)
    adapter = _fit(adapter, batches, loss_fn, directory, key, steps, learning_rate)
    if launch.is_main():
        hf.save_adapter(directory / "adapter", policy.model.config, adapter, config)
    return Policy(policy.model, _merge_lora(params, adapter, config))


# Compiled, because operation by operation they are many small programs.
_init_lora = jax.jit(models.init_lora, static_argnums=2)
_merge_lora = jax.jit(models.merge_lora, static_argnums=2)


def export(directory: pathlib.Path, policy: Policy, tokenizer: HfTokenizer) -> None:
    """In Hugging Face format."""
    if launch.is_main():
        hf.save_pretrained(directory, policy.model.config, policy.params, tokenizer)


def _fit(params: Params, batches, loss_fn, directory, key, num_steps: int, learning_rate: float) -> Params:
    """AdamW with warm-up over a twentieth of the steps and linear decay, on all devices."""
    place = {"mesh": machines.mesh(), "rules": machines.RULES}
    # Where arrays are bound to a loss, to keep its step would keep them.
    make_step = _make_step if isinstance(loss_fn, functools.partial) else _kept_step
    step, optimizer = make_step(loss_fn, num_steps, learning_rate, place["mesh"])
    state = loop.fit(
        step,
        training.init_state(params, optimizer, **place),
        batches,
        key=key,
        num_steps=num_steps,
        directory=directory,
        place=functools.partial(sharding.place_batch, **place),
        checkpoint_every=max(num_steps // 4, 1),
    )
    return machines.here(state.params)


def _make_step(loss_fn: LossFn, num_steps: int, learning_rate: float, mesh):
    schedule = training.linear_schedule(learning_rate, num_steps=num_steps, warmup_steps=num_steps // 20)
    optimizer = training.adamw(schedule)
    return training.make_train_step(loss_fn, optimizer, mesh=mesh, rules=machines.RULES), optimizer


# Seeds, and methods that differ in their data, train by one program, which is compiled once.
_kept_step = functools.lru_cache(maxsize=16)(_make_step)
