"""Greedy generation against transformers' ``generate``; on an accelerator, tokens/s and share of memory bandwidth."""

import dataclasses
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import models, sampling
from jaxalign.sampling.cache import prompt_columns, ring_columns
from jaxalign.sampling.decode import prefill
from tools.benchmarks.batches import random_params
from tools.benchmarks.flops import layer_weights
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns
from tools.hardware import Chip, peaks_of
from tools.model_shapes import BENCHMARKED, MODELS, find_model, on_cpu

TITLE = "Greedy generation"
HEADER = (
    *("width", "layers", "vocabulary", "batch"),
    *("ours tokens / s", "transformers tokens / s", "speed-up", "equal tokens"),
)
ACCELERATOR_HEADER = (
    *("model", "batch", "prefill ms", "ms / token", "tokens / s", "share of bandwidth"),
    *("transformers ms / token", "speed-up"),
)


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


def table(rounds: int, names: Sequence[str] = ()) -> Table:
    """One row a model and batch; on an accelerator, of the published models ``names``."""
    if on_accelerator():
        return Table(
            title=TITLE,
            notes=(
                "One device, bfloat16, prompts of 512, 128 new tokens. Prefill is timed alone and taken off the whole",
                "call. Bandwidth: bytes of the weights, once a token, and of the cached keys and values that a token",
                "can see, over the seconds a token, over the data sheet's bytes/s. Goal: 0.6 at batch 32.",
                "transformers: `generate` in bfloat16 on the same device, with weights of its own, prefill taken off.",
            ),
            header=ACCELERATOR_HEADER,
            rows=accelerator_rows(names or BENCHMARKED, rounds),
        )
    return Table(
        title=TITLE,
        notes=(
            f"`sampling.generate` against transformers' `generate`, same weights, float32, both on {cpu_threads()}",
            "threads; prompts of 64, 32 new tokens, prefill included, compilation not, nor, on both sides, the layout",
            "of the weights. Equal tokens: share that both chose alike. Goals: speed-up above 1 in each row, and 1.2",
            "at a vocabulary of 49,152, which is SmolLM2-135M.",
        ),
        header=HEADER,
        rows=(row(config, Case(batch, 64, 32), rounds) for config in cpu_configs(names) for batch in BATCHES),
    )


def cpu_configs(names: Sequence[str]) -> Sequence[models.DecoderConfig]:
    """The published models ``names``, or without any the small models and SmolLM2."""
    if names:
        return [on_cpu(find_model(name)) for name in names]
    return *SMALL_CONFIGS, on_cpu(MODELS["SmolLM2-135M"])


def row(config: models.DecoderConfig, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one model and batch on a CPU."""
    model = models.build(config)
    params = random_params(model)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (case.batch, case.prompt), np.int32)
    weights = sampling.split_once(model, params)
    forms = {"ours": _ours(model, weights, tokens, case), "theirs": _theirs(config, params, tokens, case)}
    equal = float(np.mean(np.asarray(forms["ours"]().tokens[:, 0]) == forms["theirs"]()))
    seconds = take_turns(forms, rounds)
    total = case.batch * case.new
    return (
        str(config.width),
        str(config.num_layers),
        f"{config.vocab_size:,}",
        str(case.batch),
        *(f"{total / statistics.median(seconds[name]):,.0f}" for name in ("ours", "theirs")),
        f"{median_ratio(seconds['theirs'], seconds['ours']):.1f}",
        f"{equal:.3f}",
    )


def accelerator_rows(names: Sequence[str], rounds: int) -> Iterator[tuple[str, ...]]:
    """One row a model and batch, the largest batch first."""
    for name in names:
        config = dataclasses.replace(MODELS[name], remat="none")
        theirs = torch_model(config) if cuda_torch() else None
        for batch in reversed(BATCHES):
            case = Case(batch, 512, 128)
            ours = decode_seconds(config, case, rounds)
            of_theirs = None if theirs is None else torch_seconds(theirs, case)
            yield accelerator_row(name, config, case, ours, of_theirs, peaks_of(jax.devices()[0]))


class Seconds(NamedTuple):
    """Seconds of the prefill, and of each token after it."""

    prefill: float
    token: float


def accelerator_row(
    name: str, config: models.DecoderConfig, case: Case, ours: Seconds, theirs: Seconds | None, peaks: Chip | None
) -> tuple[str, ...]:
    """Cells of one model and batch; a dash where the device's bandwidth is not known, or torch has no GPU."""
    return (
        name,
        str(case.batch),
        f"{1e3 * ours.prefill:.1f}",
        f"{1e3 * ours.token:.2f}",
        f"{case.batch / ours.token:,.0f}",
        "-" if peaks is None else f"{token_bytes(config, case) / ours.token / peaks.bandwidth:.3f}",
        "-" if theirs is None else f"{1e3 * theirs.token:.2f}",
        "-" if theirs is None else f"{theirs.token / ours.token:.1f}",
    )


def decode_seconds(config: models.DecoderConfig, case: Case, rounds: int) -> Seconds:
    """Times the complete call and its prefill alone, and takes the difference."""
    model = models.build(config)
    params = jax.tree.map(lambda leaf: leaf.astype(config.dtype), random_params(model))
    tokens = np.zeros((case.batch, case.prompt), np.int32)

    @jax.jit
    def read(params, tokens, mask):
        return prefill(model, sampling.split_once(model, params), tokens, mask, sampling.greedy).caches

    forms = {
        "all": _ours(model, params, tokens, case),
        "prefill": functools.partial(read, params, jnp.asarray(tokens), jnp.ones(tokens.shape, bool)),
    }
    seconds = {name: statistics.median(values) for name, values in take_turns(forms, rounds).items()}
    return Seconds(seconds["prefill"], (seconds["all"] - seconds["prefill"]) / case.new)


def cuda_torch() -> bool:
    """Whether torch and transformers are there, and torch has a GPU."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        return False
    import torch

    return torch.cuda.is_available()


def torch_model(config: models.DecoderConfig, device: str = "cuda"):
    """transformers' model of that shape in bfloat16, with weights that it draws itself."""
    import torch
    import transformers

    from jaxalign.io import hf

    keys = dict(hf.config_to_json(config))
    described = transformers.AutoConfig.for_model(keys.pop("model_type"), **keys)
    with torch.device(device):
        return transformers.AutoModelForCausalLM.from_config(described, dtype=torch.bfloat16).eval()


def torch_seconds(model, case: Case) -> Seconds:
    """One call each of one token and of all, after one of two tokens."""
    import torch

    tokens = torch.zeros((case.batch, case.prompt), dtype=torch.long, device=model.device)

    def seconds(new: int) -> float:
        options = {"min_new_tokens": new, "max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        start = time.perf_counter()
        with torch.no_grad():
            # To the host, so that the device has finished.
            model.generate(tokens, attention_mask=torch.ones_like(tokens), **options).cpu()
        return time.perf_counter() - start

    seconds(2)
    first, whole = seconds(1), seconds(case.new)
    return Seconds(first, (whole - first) / (case.new - 1))


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
    """Returns how many threads torch uses: one a core, as XLA does."""
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
