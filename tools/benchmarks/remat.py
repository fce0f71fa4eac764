"""What the rematerialisation of layers costs in time and spares in memory: each policy against none."""

import dataclasses
import functools

import jax

from jaxalign import models
from tools.benchmarks.batches import Sizes, random_lists, random_params
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_warm_turns
from tools.benchmarks.shared_prompt import ACCELERATOR_CONFIG, CONFIG

POLICIES = ("none", "dots", "full", "offload")
SIZES, ACCELERATOR_SIZES = Sizes(1, 128, 4, 32), Sizes(4, 512, 8, 128)
HEADER = ("remat", "time / none", "temporary MB", "of none", "host MB")


def table(rounds: int) -> Table:
    """One row a policy."""
    config, sizes = (ACCELERATOR_CONFIG, ACCELERATOR_SIZES) if on_accelerator() else (CONFIG, SIZES)
    inputs = random_params(models.build(config)), random_lists(sizes, config.vocab_size)
    programs = {policy: compile_gradient(config, policy, inputs) for policy in POLICIES}
    seconds = take_warm_turns({name: functools.partial(form, *inputs) for name, form in programs.items()}, rounds)
    return Table(
        title="Rematerialisation of layers",
        notes=(
            f"`models.response_logps(...).mean()` with gradients; {sizes.lists} lists of P = {sizes.prompt},"
            f" K = {sizes.responses}, R = {sizes.response}; width {config.width}, {config.num_layers} layers,"
            f" vocabulary {config.vocab_size:,}, {config.dtype}.",
            "Temporary memory is XLA's count on the device. XLA's CPU backend has no host memory apart: there, offload"
            " is full.",
        ),
        header=HEADER,
        rows=[row(policy, programs, seconds) for policy in POLICIES],
    )


def compile_gradient(config: models.DecoderConfig, policy: str, inputs):
    """The program that takes parameters and lists."""
    model = models.build(dataclasses.replace(config, remat=policy))

    def mean_logp(params, batch):
        return models.response_logps(model, params, batch).mean()

    return jax.jit(jax.value_and_grad(mean_logp)).lower(*inputs).compile()


def row(policy: str, programs, seconds) -> tuple[str, ...]:
    """Cells of one policy."""
    memory = {name: program.memory_analysis() for name, program in programs.items()}
    used, reference = (memory[name].temp_size_in_bytes for name in (policy, "none"))
    return (
        policy,
        f"{median_ratio(seconds[policy], seconds['none']):.2f}",
        f"{used / 1e6:,.0f}",
        f"{used / reference:.2f}",
        f"{memory[policy].host_temp_size_in_bytes / 1e6:,.0f}",
    )
