"""A LiPO-lambda training step at the shapes of real models, random weights: time, throughput, MFU, peak memory."""

import statistics
import time
from typing import NamedTuple

import jax

from jaxalign import losses, models, numerics, training
from tools.benchmarks.batches import Sizes, random_lists, random_params
from tools.benchmarks.flops import CONVENTION, list_work, step_flops
from tools.benchmarks.measure import Table, on_accelerator
from tools.hardware import Chip, peaks_of
from tools.model_shapes import MODELS

# The smaller first: a device reports its peak memory since the process started.
CONFIGS = {name: MODELS[name] for name in ("Qwen3-0.6B", "Qwen3-1.7B", "Gemma-2-2B")}
SIZES = Sizes(lists=8, prompt=512, responses=8, response=128)
BETA = 0.05
TITLE = "LiPO-lambda train step"
HEADER = ("model", "ms / step", "valid tokens / s", "MFU", "peak GB")


class Measurement(NamedTuple):
    """Median seconds of a step, its last loss, and the device's peak memory in bytes (None where it keeps no count)."""

    seconds: float
    loss: float
    peak_bytes: int | None


def table(rounds: int) -> Table:
    """One row a model; without an accelerator, a sentence."""
    if not on_accelerator():
        return Table(TITLE, ("Not measured: models of 2 billion parameters need an accelerator.",))
    return Table(
        title=TITLE,
        notes=(
            f"{SIZES.lists} lists of P = {SIZES.prompt}, K = {SIZES.responses}, R = {SIZES.response}, no padding; one"
            " device. AdamW; bfloat16 products, float32 parameters and optimizer state, whole layers rematerialised.",
            *CONVENTION,
        ),
        header=HEADER,
        rows=(
            row(name, config, SIZES, measure(config, SIZES, rounds), peaks_of(jax.devices()[0]))
            for name, config in CONFIGS.items()
        ),
    )


def row(
    name: str, config: models.DecoderConfig, sizes: Sizes, found: Measurement, peaks: Chip | None
) -> tuple[str, ...]:
    """Cells of one model; a dash where the device's peak FLOP/s or memory is not known."""
    flops = step_flops(config, list_work(config, sizes)).total
    return (
        name,
        f"{1e3 * found.seconds:.1f}",
        f"{sizes.tokens / found.seconds:,.0f}",
        "-" if peaks is None else f"{flops / found.seconds / peaks.flops:.3f}",
        "-" if found.peak_bytes is None else f"{found.peak_bytes / 1e9:.1f}",
    )


def measure(config: models.DecoderConfig, sizes: Sizes, rounds: int) -> Measurement:
    """Train ``rounds`` steps on one batch, after one step that is not timed."""
    model = models.build(config)
    optimizer = training.adamw(1e-6)
    step = training.make_train_step(make_lipo_loss(model), optimizer)
    state = training.init_state(random_params(model), optimizer)
    batch = random_lists(sizes, config.vocab_size)
    seconds = []
    for index in range(rounds + 1):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(step(state, batch, jax.random.key(index)))
        seconds.append(time.perf_counter() - start)
    stats = jax.devices()[0].memory_stats() or {}
    return Measurement(statistics.median(seconds[1:]), float(metrics["loss"].value), stats.get("peak_bytes_in_use"))


def make_lipo_loss(model):
    """``loss_fn(params, batch, key)``: lambda_loss of beta times the log-probability ratios."""

    def loss_fn(params, batch, key):
        scores = BETA * (models.response_logps(model, params, batch) - batch.reference_logps)
        loss = losses.lambda_loss(scores, batch.labels, where=batch.where, key=key, reduce_fn=numerics.ratio)
        return loss, {}

    return loss_fn
