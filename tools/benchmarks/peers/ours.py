"""One training step of ours by kind, as ``form() -> loss``."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from jaxalign import data, models, training
from jaxalign.data import EncodedLists
from jaxalign.data.batches.packing import example_lengths
from jaxalign.typing import ListBatch, LossFn, PackedListBatch, Params, TokenBatch
from tools.benchmarks.measure import on_accelerator
from tools.benchmarks.peers.pairs import BETA, LEARNING_RATE, Policies, only_chosen


def sft_form(policies: Policies, lists: EncodedLists, *, packed: bool) -> Callable[[], float]:
    """Cross-entropy of the chosen responses; one example a row, or as many as the longest one leaves room for."""
    make_loss = training.make_sft_loss if packed else training.make_unpacked_sft_loss
    batch = sft_batch(only_chosen(lists), packed)
    return step_form(make_loss(models.build(fastest(policies.config))), policies.params, batch)


def sft_batch(chosen: EncodedLists, packed: bool) -> TokenBatch:
    """All examples in one batch."""
    lengths = example_lengths(chosen).tolist()
    longest = max(lengths)
    rows = len(data.first_fit(lengths, longest)) if packed else len(lengths)
    batches = data.sft_batches(chosen, batch_size=rows, row_length=longest, packed=packed, shuffle=False)
    return next(iter(batches))


def dpo_form(policies: Policies, lists: EncodedLists, *, packed: bool) -> Callable[[], float]:
    """DPO on pairs that share their prompt, reference log-probabilities given; one pair a row, or two or more."""
    model = models.build(fastest(policies.config))
    batch = packed_pair_batch(lists) if packed else pair_batch(lists)
    logps = jax.jit(models.response_logps, static_argnums=0)(model, policies.reference_params, batch)
    return step_form(training.make_dpo_loss(model, beta=BETA), policies.params, batch._replace(reference_logps=logps))


def reward_form(config: models.RewardConfig, params: Params, lists: EncodedLists) -> Callable[[], float]:
    """Bradley-Terry on pairs that share their prompt."""
    model = models.build(dataclasses.replace(config, backbone=fastest(config.backbone)))
    return step_form(training.make_reward_loss(model), params, pair_batch(lists))


def pair_batch(lists: EncodedLists) -> ListBatch:
    """All pairs in one batch, the chosen response first."""
    return next(iter(data.list_batches(lists, batch_size=len(lists), list_size=2, shuffle=False)))


def packed_pair_batch(lists: EncodedLists) -> PackedListBatch:
    """All pairs in one batch of rows, as long as leaves the least padding: up to four times the longest pair."""
    longest = lists.limits[0] + 2 * lists.limits[1]
    shapes = [data.fit_row(lists, list_size=2, row_length=longest * halves // 2) for halves in range(2, 9)]
    packed = [list(data.packed_list_batches(lists, s, batch_size=1, shuffle=False, num_epochs=1)) for s in shapes]
    rows = min(packed, key=lambda rows: sum(row.prompt_tokens.size + row.response_tokens.size for row in rows))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)


def fastest(config: models.DecoderConfig) -> models.DecoderConfig:
    """Keeps products only on a CPU: to make the rest again is faster than to keep all, as TRL does."""
    return config if on_accelerator() or config.remat != "none" else dataclasses.replace(config, remat="dots")


def step_form(loss_fn: LossFn, params: Params, batch) -> Callable[[], float]:
    """Each call trains one more step on ``batch`` and waits for it."""
    optimizer = training.adamw(LEARNING_RATE)
    step = training.make_train_step(loss_fn, optimizer)
    state = training.init_state(params, optimizer)
    batch, key = jax.device_put(batch), jax.random.key(0)

    def form() -> float:
        nonlocal state
        state, metrics = jax.block_until_ready(step(state, batch, key))
        return float(metrics["loss"].value)

    return form
