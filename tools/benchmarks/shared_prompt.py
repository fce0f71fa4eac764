"""The shared-prompt list step with gradients, against K separate rows of prompt and response."""

import functools
import statistics

import jax

from jaxalign import models
from tools.benchmarks.batches import Sizes, random_lists, random_params
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns, temporary_bytes

CONFIG = models.DecoderConfig(
    vocab_size=2048,
    width=256,
    mlp_width=1024,
    num_layers=8,
    num_heads=4,
    num_kv_heads=2,
    head_dim=64,
    qk_norm=True,
    tied_embeddings=True,
)
SIZES = (Sizes(2, 192, 8, 32), Sizes(1, 512, 8, 128))
ACCELERATOR_CONFIG = models.DecoderConfig(
    vocab_size=32_768,
    width=2048,
    mlp_width=8192,
    num_layers=8,
    num_heads=16,
    num_kv_heads=8,
    head_dim=128,
    qk_norm=True,
    tied_embeddings=True,
    dtype="bfloat16",
    remat="full",
)
ACCELERATOR_SIZES = (Sizes(4, 512, 8, 128), Sizes(16, 192, 8, 32))
HEADER = ("lists", "P", "K", "R", "shared ms", "speed-up", "ideal", "share of ideal", "shared MB", "separate MB")


def table(rounds: int) -> Table:
    """One row for each length of prompt and response."""
    config, all_sizes = (ACCELERATOR_CONFIG, ACCELERATOR_SIZES) if on_accelerator() else (CONFIG, SIZES)
    return Table(
        title="Shared-prompt step, forward and backward",
        notes=(
            "`models.response_logps(...).mean()` with gradients, the prompt run once a list against once a response.",
            f"A decoder of width {config.width}, {config.num_layers} layers, {config.num_heads} heads of"
            f" {config.head_dim}, vocabulary {config.vocab_size:,}, {config.dtype}, rematerialisation {config.remat}.",
            "Ideal: K (P + R) / (P + K R), the ratio of tokens. Goal: at least 0.95 of it (attention shrinks too, so",
            "more than 1 is possible).",
        ),
        header=HEADER,
        rows=(row(config, sizes, rounds) for sizes in all_sizes),
    )


def row(config: models.DecoderConfig, sizes: Sizes, rounds: int) -> tuple[str, ...]:
    """Cells of one batch shape."""
    model = models.build(config)
    inputs = random_params(model), random_lists(sizes, config.vocab_size)

    def compile_form(shared_prompt: bool):
        def mean_logp(params, batch):
            return models.response_logps(model, params, batch, shared_prompt=shared_prompt).mean()

        return jax.jit(jax.value_and_grad(mean_logp)).lower(*inputs).compile()

    forms = {"shared": compile_form(True), "separate": compile_form(False)}
    seconds = take_turns({name: functools.partial(form, *inputs) for name, form in forms.items()}, rounds)
    _, p, k, r = sizes
    speed_up, ideal = median_ratio(seconds["separate"], seconds["shared"]), k * (p + r) / (p + k * r)
    return (
        *(str(size) for size in sizes),
        f"{1e3 * statistics.median(seconds['shared']):.0f}",
        f"{speed_up:.2f}",
        f"{ideal:.2f}",
        f"{speed_up / ideal:.2f}",
        *(f"{temporary_bytes(form) / 1e6:,.0f}" for form in forms.values()),
    )
