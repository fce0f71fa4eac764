"""Continuous batching, which ``tools.sample`` runs, against ``sampling.generate`` on the same prompts in batches."""

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign import models, sampling
from tools.benchmarks.batches import random_params
from tools.benchmarks.generation import small_config
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns
from tools.model_shapes import MODELS, on_cpu

HEADER = ("model", "prompts", "P at most", "new", "slots", "generate tokens / s", "run_jobs tokens / s", "ratio")


class Case(NamedTuple):
    """Prompts of a quarter of ``prompt`` tokens and more; samples are of one length, as suits batches best."""

    prompts: int
    prompt: int
    new: int
    slots: int


CASE = Case(128, 64, 32, 32)


def table(rounds: int) -> Table:
    """One row a model."""
    smol = MODELS["SmolLM2-135M"]
    smol = dataclasses.replace(smol, remat="none") if on_accelerator() else on_cpu(smol)
    configs = {"width 256, 4 layers": small_config(256, 4), "SmolLM2-135M": smol}
    return Table(
        title="Continuous batching",
        notes=(
            "`sampling.run_jobs`, which `tools.sample` runs, against `sampling.generate` in batches of as many prompts",
            "as there are slots, padded to the longest; greedy, one sample a prompt. Compilation is in neither, the",
            "layout of the weights in both. Goal: a ratio of .85.",
        ),
        header=HEADER,
        rows=(row(name, config, CASE, rounds) for name, config in configs.items()),
    )


def row(name: str, config: models.DecoderConfig, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one model and case; at most three rounds, each of which is long."""
    model = models.build(config)
    forms = make_forms(model, random_params(model), case)
    seconds = take_turns(forms, min(rounds, 3))
    total = case.prompts * case.new
    return (
        name,
        *(str(size) for size in case),
        *(f"{total / statistics.median(seconds[form]):,.0f}" for form in ("generate", "run_jobs")),
        f"{median_ratio(seconds['generate'], seconds['run_jobs']):.2f}",
    )


def make_forms(model, params, case: Case) -> dict[str, Callable[[], Any]]:
    """Both ways to draw one sample of each prompt."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(case.prompt // 4, case.prompt + 1, case.prompts)
    prompts = [rng.integers(0, model.config.vocab_size, length, np.int32) for length in lengths]
    options = {"max_new_tokens": case.new, "eos_id": -1, "rule": sampling.greedy}

    def in_batches():
        weights, drawn = sampling.split_once(model, params), []
        for first in range(0, case.prompts, case.slots):
            rows = prompts[first : first + case.slots]
            tokens, mask = (np.zeros((len(rows), case.prompt), dtype) for dtype in (np.int32, bool))
            for index, prompt in enumerate(rows):
                tokens[index, : len(prompt)], mask[index, : len(prompt)] = prompt, True
            samples = sampling.generate(model, weights, tokens, mask, jax.random.key(0), num_samples=1, **options)
            drawn.append(jax.device_get(samples.tokens))
        return drawn

    def in_slots():
        jobs = [sampling.Job(number, prompt.tolist(), [0]) for number, prompt in enumerate(prompts)]
        sizes = {"num_slots": case.slots, "max_prompt_tokens": case.prompt}
        return [each.tokens for each in sampling.run_jobs(model, params, jobs, jax.random.key(0), **sizes, **options)]

    return {"generate": in_batches, "run_jobs": in_slots}
