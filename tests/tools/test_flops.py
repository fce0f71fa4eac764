"""Analytic FLOP: by hand, and against what XLA counts in the whole step with its layers unrolled."""

import dataclasses
import functools

import flax.linen as nn
import jax
import pytest

from jaxalign import models, sharding
from tools.benchmarks import flops
from tools.benchmarks.batches import Rows, Sizes
from tools.planning.steps import Setup, lay_out, lower
from tools.planning.workloads import STEPS, Workload

CONFIG = models.DecoderConfig(
    vocab_size=11, width=4, mlp_width=5, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=3
)
# A layer: query and output 4 x 6 each, key and value 4 x 3 each, three MLP matrices 4 x 5: 48 + 24 + 60.
WEIGHTS = 132


def test_visible_pairs_by_hand():
    # Prompt of 3, fed to the network without its last token: 1 + 2. Each of 2 responses of 2: positions 2 and 3 see
    # 3 and 4 tokens, itself included.
    assert flops.visible_pairs(3, 2, 2, None) == 3 + 2 * 7
    # A window of 2: 1 + 2, and 2 + 2.
    assert flops.visible_pairs(3, 2, 2, 2) == 3 + 2 * 4


def test_work_of_lists_by_hand():
    # 5 lists: 2 tokens of each prompt and 4 of its responses, 17 pairs in each of 2 layers; multiplied are 3 x 3 pairs
    # of the prompt, and 4 queries with 3 + 2 keys.
    assert flops.list_work(CONFIG, Sizes(5, 3, 2, 2)) == (5 * 6, 5 * 4, 5 * 2 * 17, 5 * 2 * (9 + 20))


def test_work_of_rewards_by_hand():
    # The prompt is read whole, 1 + 2 + 3 pairs; response tokens see 4 and 5 tokens.
    assert flops.reward_work(CONFIG, Sizes(5, 3, 2, 2)) == (5 * 7, 0, 5 * 2 * (6 + 2 * 9), 5 * 2 * (9 + 20))


def test_work_of_packed_rows_by_hand():
    # 7 rows of 2 examples of 3 tokens: each example 1 + 2 + 3 pairs, of 6 x 6 that are multiplied.
    assert flops.row_work(CONFIG, Rows(7, 2, 3)) == (42, 42, 7 * 2 * 2 * 6, 7 * 2 * 36)
    windowed = dataclasses.replace(CONFIG, window=2, windowed_layers=(True, False))
    assert flops.row_work(windowed, Rows(1, 1, 3)).pairs == (1 + 2 + 2) + 6


def test_flops_by_hand():
    work = flops.Work(tokens=30, outputs=20, pairs=170, dense_pairs=290)
    layers, logits, head_width = 6 * 2 * WEIGHTS * 30, 6 * 4 * 11 * 20, 2 * 3
    assert flops.step_flops(CONFIG, work) == (layers, logits, 12 * head_width * 170)
    # Logits are computed twice in forward and backward together: 8 FLOP for 6.
    assert flops.executed_flops(CONFIG, work) == (layers, logits * 4 // 3, 12 * head_width * 290)
    full = dataclasses.replace(CONFIG, remat="full")
    assert flops.executed_flops(full, work) == (layers * 4 // 3, logits * 4 // 3, 16 * head_width * 290)
    dots = dataclasses.replace(CONFIG, remat="dots")
    assert flops.executed_flops(dots, work) == (layers, logits * 4 // 3, 16 * head_width * 290)


@pytest.mark.parametrize(
    ("workload", "remat", "tolerance"),
    [
        (Workload("sft", 8, 16, 16, row_examples=2), "none", 0.04),
        (Workload("dpo", 8, 32, 16, 2), "none", 0.04),
        (Workload("lipo", 8, 32, 16, 4), "none", 0.04),
        (Workload("reward", 8, 32, 16, 2), "none", 0.04),
        # What a rematerialised layer leaves out is more: its last product.
        (Workload("lipo", 8, 32, 16, 4), "full", 0.1),
    ],
    ids=lambda value: value.step if isinstance(value, Workload) else str(value),
)
def test_flops_match_what_xla_counts(workload, remat, tolerance, monkeypatch):
    """XLA counts the body of a scan once: here two layers are two copies of it."""
    config = dataclasses.replace(
        CONFIG, vocab_size=512, width=128, mlp_width=512, num_layers=2, num_heads=4, head_dim=32, remat=remat
    )
    monkeypatch.setattr(nn, "scan", functools.partial(nn.scan, unroll=2))
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    setup = Setup(config, workload)
    counted = lower(setup, lay_out(setup, mesh), mesh).cost_analysis()["flops"]
    work = STEPS[workload.step].work(config, workload)
    assert counted == pytest.approx(flops.executed_flops(config, work).total, rel=tolerance)
    if remat == "none":
        assert flops.step_flops(config, work).layers == flops.executed_flops(config, work).layers
