"""Prompts are prefilled together where many slots are free, and give the samples that they give alone."""

import jax
import numpy as np
import pytest
import tiny

from jaxalign import sampling
from jaxalign.sampling import waiting

MAX_NEW, ROOM = 3, 20
LENGTHS = (3, 7, 18, 1, 16, 2, 9, 4, 12, 5, 20)  # nine of at most 16 tokens, two of more


@pytest.fixture
def shapes(monkeypatch):
    """Those of the rows that are prefilled."""
    seen = []
    run = waiting.prefill_rows
    monkeypatch.setattr(waiting, "prefill_rows", lambda *a, **k: seen.append(a[2].shape) or run(*a, **k))
    return seen


def run(num_slots, samples=(0,)):
    model, params = tiny.init(tiny.MIXED)
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, model.config.vocab_size, length) for length in LENGTHS]
    jobs = [sampling.Job(number, prompt.tolist(), samples) for number, prompt in enumerate(prompts)]
    options = {"max_prompt_tokens": ROOM, "max_new_tokens": MAX_NEW, "eos_id": -1, "rule": sampling.sample()}
    found = sampling.run_jobs(model, params, jobs, jax.random.key(3), num_slots=num_slots, **options)
    return {(each.job, each.sample): each.tokens for each in found}


def test_eight_of_one_width_or_one(shapes):
    together = run(num_slots=len(LENGTHS))
    assert shapes == [(8, 16), (1, 16), (1, 20), (1, 20)]
    shapes.clear()
    assert run(num_slots=1) == together
    assert shapes == [(1, 20 if length > 16 else 16) for length in LENGTHS]


def test_long_prompts_are_fewer(shapes, monkeypatch):
    monkeypatch.setattr(waiting, "TOKENS_TOGETHER", 40)  # two rows of 16 or 20 tokens
    run(num_slots=len(LENGTHS))
    assert shapes == [(2, 16)] * 4 + [(1, 16), (2, 20)]


def test_samples_of_one_prompt_count_as_slots(shapes):
    found = run(num_slots=6, samples=(0, 1, 2))
    assert len(found) == 3 * len(LENGTHS)
    assert shapes == [(1, 20 if length > 16 else 16) for length in LENGTHS]  # two prompts fill six slots
