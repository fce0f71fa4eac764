"""Bounds on the time, by hand."""

import dataclasses

import pytest

from jaxalign import models
from tools.benchmarks import flops
from tools.hardware import Chip, device_peaks
from tools.planning.memory import Arrays
from tools.planning.roofline import Roofline, link_rate, make_roofline, memory_traffic

CONFIG = models.DecoderConfig(
    vocab_size=11, width=4, mlp_width=6, num_layers=2, num_heads=2, num_kv_heads=2, head_dim=3, dtype="bfloat16"
)
WORK = flops.Work(tokens=80, outputs=40, pairs=100, dense_pairs=200)
ARRAYS = Arrays(parameters=1000, optimizer=2000, batch=50)
ONE = {"data": 1, "fsdp": 1, "context": 1, "tensor": 1}


def test_times_by_hand():
    peaks = Chip(("toy",), flops=100.0, bandwidth=10.0, memory=1.0, interconnect=5.0)
    executed = flops.executed_flops(CONFIG, WORK).total
    times = make_roofline(peaks, 4, CONFIG, WORK, flops=executed // 2, traffic=70.0, sent=40.0)
    assert times.compute == executed / 4 / 100
    assert (times.memory, times.interconnect) == (7.0, 8.0)
    assert times.no_overlap == times.compute + 15
    assert times.full_overlap == times.compute and times.bound == "compute"
    # Half of what is executed counts, and at full overlap nothing else takes time.
    assert times.mfu(times.full_overlap) == pytest.approx(0.5)


def test_what_is_not_known_is_left_out():
    times = Roofline(compute=2.0, memory=3.0, interconnect=None, useful=1.5)
    assert (times.no_overlap, times.full_overlap, times.bound) == (5.0, 3.0, "memory")
    assert times.mfu(times.full_overlap) == 0.5


def test_gpus_beyond_a_node_talk_over_the_network():
    h100 = device_peaks("h100")
    assert (link_rate(h100, 8), link_rate(h100, 16)) == (450e9, 50e9)
    assert link_rate(device_peaks("v5e"), 256) == 200e9


def test_memory_traffic_by_hand():
    # Weights of a layer: query, key, value and output 4 x 6 each, three of 4 x 6: 168. Operands and results of seven
    # products, for each of 80 tokens: 7 of width 4, 4 of 6 in attention, 3 of 6 in the MLP: 70. Three passes of both,
    # in two bytes, through two layers. Attention: 200 pairs by 2 heads, 8 bytes, three passes. Output: the matrix
    # 4 x 11 and 40 tokens of width 4, three passes. State and gradients, read and written.
    layers, attention = 3 * 2 * 2 * (168 + 80 * 70), 3 * 8 * 200 * 2
    outputs, optimizer = 3 * 2 * (44 + 40 * 4), 2 * 3000 + 2 * 1000
    assert memory_traffic(CONFIG, WORK, ARRAYS, ONE, 1) == layers + attention + outputs + optimizer
    # Every microbatch reads the weights again.
    more = memory_traffic(CONFIG, WORK, ARRAYS, ONE, 3) - memory_traffic(CONFIG, WORK, ARRAYS, ONE, 1)
    assert more == 2 * (3 * 2 * 2 * 168 + 3 * 2 * 44)
    # A rematerialised forward is a pass more, through the layers.
    full = dataclasses.replace(CONFIG, remat="full")
    assert memory_traffic(full, WORK, ARRAYS, ONE, 1) == (layers + attention) * 4 / 3 + outputs + optimizer
    # Two devices along rows halve what grows with tokens.
    halved = memory_traffic(CONFIG, WORK, ARRAYS, ONE | {"fsdp": 2}, 1)
    assert halved == 3 * 2 * 2 * (168 + 40 * 70) + attention / 2 + 3 * 2 * (44 + 20 * 4) + optimizer
    # Two along heads and hidden units halve the weights and those widths (42 of 70).
    halved = memory_traffic(CONFIG, WORK, ARRAYS, ONE | {"tensor": 2}, 1)
    assert halved == 3 * 2 * 2 * (84 + 80 * 49) + attention / 2 + 3 * 2 * (22 + 40 * 4) + optimizer
