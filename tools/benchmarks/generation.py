"""Greedy generation against transformers' ``generate``; on an accelerator, tokens/s and share of memory bandwidth."""

import functools
import statistics
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import models, sampling
from jaxalign.sampling.cache import prompt_columns, ring_columns
from tools.benchmarks.batches import random_params
from tools.benchmarks.flops import layer_weights
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns
from tools.benchmarks.step import CONFIGS
from tools.hardware import peaks_of

TITLE = "Greedy generation"
HEADER = ("width", "layers", "batch", "ours tokens / s", "transformers tokens / s", "speed-up", "equal tokens")
ACCELERATOR_HEADER = ("model", "batch", "ms / token", "tokens / s", "share of bandwidth")


class Case(NamedTuple):
    """Sequences, tokens of each prompt, new tokens of each; no sequence ends early."""

    batch: int
    prompt: int
    new: int


BATCHES = (1, 8, 32)


def small_config(width: int, layers: int) -> models.DecoderConfig:
    """A Qwen 3 of heads of 32, two queries a key."""
    return models.DecoderConfig(
        family="qwen3",
        vocab_size=2048,
        width=width,
        mlp_width=4 * width,
        num_layers=layers,
        num_heads=width // 32,
        num_kv_heads=width // 64,
        head_dim=32,
        qk_norm=True,
        tied_embeddings=True,
    )


SMALL_CONFIGS = (small_config(64, 2), small_config(256, 4), small_config(512, 8))


def table(rounds: int) -> Table:
    """One row a model and batch."""
    if on_accelerator():
        return Table(
            title=TITLE,
            notes=(
                "One device, bfloat16, prompts of 512, 128 new tokens; prefill included. Bandwidth: bytes of the",
                "weights, once a token, and of the cached keys and values that a token can see, over the seconds a",
                "token of the whole call, over the data sheet's bytes/s.",
            ),
            header=ACCELERATOR_HEADER,
            rows=[
                accelerator_row(name, config, Case(batch, 512, 128), rounds)
                for name, config in CONFIGS.items()
                for batch in BATCHES
            ],
        )
    return Table(
        title=TITLE,
        notes=(
            f"`sampling.generate` against transformers' `generate`, same weights, float32, both on {cpu_threads()}",
            "threads; prompts of 64, 32 new tokens, prefill included, compilation not. Equal tokens: share that both",
            "chose alike. Goal: speed-up above 1 in each row.",
        ),
        header=HEADER,
        rows=[row(config, Case(batch, 64, 32), rounds) for config in SMALL_CONFIGS for batch in BATCHES],
    )


def row(config: models.DecoderConfig, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one model and batch on a CPU."""
    model = models.build(config)
    params = random_params(model)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (case.batch, case.prompt), np.int32)
    forms = {"ours": _ours(model, params, tokens, case), "theirs": _theirs(config, params, tokens, case)}
    equal = float(np.mean(np.asarray(forms["ours"]().tokens[:, 0]) == forms["theirs"]()))
    seconds = take_turns(forms, rounds)
    total = case.batch * case.new
    return (
        str(config.width),
        str(config.num_layers),
        str(case.batch),
        *(f"{total / statistics.median(seconds[name]):,.0f}" for name in ("ours", "theirs")),
        f"{median_ratio(seconds['theirs'], seconds['ours']):.1f}",
        f"{equal:.3f}",
    )


def accelerator_row(name: str, config: models.DecoderConfig, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one model and batch; a dash where the device's bandwidth is not known."""
    model = models.build(config)
    params = jax.tree.map(lambda leaf: leaf.astype(config.dtype), random_params(model))
    tokens = np.zeros((case.batch, case.prompt), np.int32)
    seconds = statistics.median(take_turns({"ours": _ours(model, params, tokens, case)}, rounds)["ours"]) / case.new
    peaks = peaks_of(jax.devices()[0])
    return (
        name,
        str(case.batch),
        f"{1e3 * seconds:.2f}",
        f"{case.batch / seconds:,.0f}",
        "-" if peaks is None else f"{token_bytes(config, case) / seconds / peaks.bandwidth:.3f}",
    )


def token_bytes(config: models.DecoderConfig, case: Case) -> float:
    """Bytes that a step must read: weights, and keys and values of prompt and, on average, half of the new tokens."""
    c = config
    # The output matrix is read whole, the embedding (the same, if tied) a row a token.
    weights = c.num_layers * layer_weights(c) + c.width * c.vocab_size
    columns = sum(
        prompt_columns(c, windowed, case.prompt) + ring_columns(c, windowed, case.new) / 2
        for windowed in c.layer_windows
    )
    cached = 2 * case.batch * c.num_kv_heads * c.head_dim * columns
    return jnp.dtype(c.dtype).itemsize * (weights + cached)


def cpu_threads() -> int:
    """Of torch, which takes one a core, as XLA does."""
    import torch

    return torch.get_num_threads()


def _ours(model, params, tokens: np.ndarray, case: Case) -> Callable[[], sampling.Samples]:
    return functools.partial(
        sampling.generate,
        model,
        params,
        jnp.asarray(tokens),
        jnp.ones(tokens.shape, bool),
        jax.random.key(0),
        num_samples=1,
        max_new_tokens=case.new,
        eos_id=-1,
        rule=sampling.greedy,
    )


def _theirs(config: models.DecoderConfig, params, tokens: np.ndarray, case: Case) -> Callable[[], np.ndarray]:
    import tempfile

    import torch
    import transformers

    from jaxalign.io import hf

    with tempfile.TemporaryDirectory() as folder:
        hf.save_pretrained(folder, config, params)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = torch.tensor(tokens, dtype=torch.long)
    options = {"min_new_tokens": case.new, "max_new_tokens": case.new, "do_sample": False, "pad_token_id": 0}

    def form():
        with torch.no_grad():
            return model.generate(inputs, attention_mask=torch.ones_like(inputs), **options)[:, case.prompt :].numpy()

    return form
