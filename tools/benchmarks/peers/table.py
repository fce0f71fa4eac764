"""Training steps of ours against those of TRL's trainers: the same weights, examples and optimizer."""

import dataclasses
import functools
import statistics
from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxalign import models
from jaxalign.data import EncodedLists
from tools.benchmarks.generation import cpu_threads, small_config
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns
from tools.benchmarks.peers import ours, trl_trainers
from tools.benchmarks.peers.pairs import (
    BATCH,
    Lengths,
    Policies,
    count_tokens,
    only_chosen,
    random_pairs,
    random_policies,
)
from tools.model_shapes import MODELS, on_cpu

TITLE = "Training steps against TRL"
HEADER = (
    "step",
    "width",
    "layers",
    "vocabulary",
    "P, R at most",
    "valid tokens",
    "ours tokens / s",
    "TRL tokens / s",
    "speed-up",
    "loss difference",
)
COMPARED_STEPS = 3


class Case(NamedTuple):
    config: models.DecoderConfig
    lengths: Lengths


class Forms(NamedTuple):
    """Both sides' steps, and the real tokens that each trains on."""

    ours: Callable[[], float]
    theirs: Callable[[], float]
    tokens: int


def large_vocabulary(config: models.DecoderConfig) -> models.DecoderConfig:
    return dataclasses.replace(config, vocab_size=32_768)


CASES = (
    Case(small_config(64, 2), Lengths(128, 128)),
    Case(small_config(256, 4), Lengths(128, 128)),
    Case(small_config(256, 4), Lengths(256, 64)),
    Case(large_vocabulary(small_config(256, 4)), Lengths(128, 128)),
    Case(small_config(512, 8), Lengths(128, 128)),
    Case(on_cpu(MODELS["SmolLM2-135M"]), Lengths(128, 128)),
)


def table(rounds: int) -> Table:
    """One row a case and kind of step.

    Raises:
      ModuleNotFoundError: TRL or torch is missing.
      RuntimeError: JAX would run on an accelerator and torch on the CPU.
    """
    trl_trainers.check_installed()
    if on_accelerator():
        cases, where = accelerator_cases(), "bfloat16 products on one device"
    else:
        cases, where = CASES, f"float32, both on {cpu_threads()} threads"
    return Table(
        title=TITLE,
        notes=(
            "`training.make_train_step` with the experiments' losses against the steps of TRL's trainers, same",
            f"weights, {where}; {BATCH} examples or pairs of",
            "prompts of up to P and responses of up to R tokens, each from an eighth of that on; AdamW with clipping,",
            "metrics of both included. TRL pads rows of prompt and response to the longest; ours pads prompts and",
            "responses apart and runs a pair's prompt once. Packed: ours lays short examples or pairs into one row.",
            "Valid tokens: what is no padding, a prompt once. Loss difference: the largest relative one in"
            f" {COMPARED_STEPS} steps. Goals: 1e-4,",
            "and DPO at least 1.5 times as fast.",
        ),
        header=HEADER,
        rows=(row(kind, case, rounds) for case in cases for kind in KINDS),
    )


def accelerator_cases() -> tuple[Case, ...]:
    """Both sides recompute layers in the longest only."""
    cudnn = dataclasses.replace(MODELS["Qwen3-0.6B"], attention="cudnn")
    kept = dataclasses.replace(cudnn, remat="none")
    return Case(kept, Lengths(512, 256)), Case(cudnn, Lengths(1024, 1024)), Case(kept, Lengths(256, 512))


def row(kind: str, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one kind of step."""
    policies = random_policies(case.config)
    lists = random_pairs(case.lengths, case.config.vocab_size)
    forms = KINDS[kind](policies, lists)
    difference = loss_difference(forms, COMPARED_STEPS)
    seconds = take_turns({"ours": forms.ours, "theirs": forms.theirs}, rounds)
    return (
        kind,
        str(case.config.width),
        str(case.config.num_layers),
        f"{case.config.vocab_size:,}",
        f"{case.lengths.prompt}, {case.lengths.response}",
        f"{forms.tokens:,}",
        *(f"{forms.tokens / statistics.median(seconds[name]):,.0f}" for name in ("ours", "theirs")),
        f"{median_ratio(seconds['theirs'], seconds['ours']):.2f}",
        f"{difference:.1e}",
    )


def loss_difference(forms: Forms, steps: int) -> float:
    """The largest ``|ours - theirs| / |theirs|`` of that many steps from the start."""
    losses = [(forms.ours(), forms.theirs()) for _ in range(steps)]
    return max(abs(ours - theirs) / abs(theirs) for ours, theirs in losses)


def sft(policies: Policies, lists: EncodedLists, *, packed: bool) -> Forms:
    return Forms(
        ours.sft_form(policies, lists, packed=packed),
        trl_trainers.sft_form(policies, lists),
        count_tokens(only_chosen(lists)),
    )


def dpo(policies: Policies, lists: EncodedLists, *, packed: bool = False, precomputed: bool = True) -> Forms:
    return Forms(
        ours.dpo_form(policies, lists, packed=packed),
        trl_trainers.dpo_form(policies, lists, precomputed=precomputed),
        count_tokens(lists),
    )


def reward(policies: Policies, lists: EncodedLists) -> Forms:
    config = models.RewardConfig(policies.config)
    params = models.init_reward_params(models.build(config), jax.random.key(3), policies.params)
    return Forms(
        ours.reward_form(config, params, lists), trl_trainers.reward_form(config, params, lists), count_tokens(lists)
    )


# The goal's first: a run may be cut short.
KINDS: dict[str, Callable[[Policies, EncodedLists], Forms]] = {
    "DPO": dpo,
    "DPO, packed": functools.partial(dpo, packed=True),
    "SFT, packed": functools.partial(sft, packed=True),
    "SFT": functools.partial(sft, packed=False),
    "reward": reward,
    "DPO, TRL's reference each step": functools.partial(dpo, precomputed=False),
}
