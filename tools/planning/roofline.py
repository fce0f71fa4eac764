"""How fast a step can be at best: its products, its memory traffic and its messages over the peaks of a device."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from jaxalign.models import DecoderConfig
from tools.benchmarks.flops import Work, executed_flops, layer_weights
from tools.hardware import Chip
from tools.planning.memory import Arrays

CONVENTION = (
    "Compute: executed products at the peak bfloat16 rate. Memory, an estimate: in forward, in the two products of",
    "backward, and in rematerialised forward, each layer's weights are read, operands and results of its products read",
    "or written once, attention logits written and read in float32; logits of the vocabulary stay on the chip; state",
    "and gradients are read and written once. Interconnect: all links of a chip busy in one direction, no latency.",
    "Bounds, not predictions: no overlap adds the three, full overlap takes the longest.",
)


class Roofline(NamedTuple):
    """Seconds of a step that each resource needs, and the share of them that counts as useful work."""

    compute: float
    memory: float
    interconnect: float | None  # None: what is exchanged is not known
    useful: float  # seconds of ``compute`` at 100 % model FLOP utilisation

    @property
    def _terms(self) -> Mapping[str, float]:
        terms = {"compute": self.compute, "memory": self.memory, "interconnect": self.interconnect}
        return {name: term for name, term in terms.items() if term is not None}

    @property
    def no_overlap(self) -> float:
        return sum(self._terms.values())

    @property
    def full_overlap(self) -> float:
        return max(self._terms.values())

    @property
    def bound(self) -> str:
        """What takes longest."""
        return max(self._terms, key=self._terms.get)

    def mfu(self, seconds: float) -> float:
        """Model FLOP utilisation of a step of this length."""
        return self.useful / seconds


def link_rate(peaks: Chip, count: int) -> float:
    """Bytes/s that a device sends when ``count`` of them work together: beyond one node, over the network."""
    return peaks.interconnect if peaks.node is None or count <= peaks.node else peaks.network


def memory_traffic(
    config: DecoderConfig, work: Work, arrays: Arrays, mesh_shape: Mapping[str, int], accumulate: int
) -> float:
    """Bytes that one device reads and writes in a step, by ``CONVENTION``."""
    c, tensor = config, mesh_shape["tensor"]
    rows = math.prod(mesh_shape.values()) // tensor
    item = jnp.dtype(c.dtype).itemsize
    passes = 4 if c.remat == "full" else 3
    heads, kv_heads, mlp = c.num_heads * c.head_dim / tensor, c.num_kv_heads * c.head_dim / tensor, c.mlp_width / tensor
    widths = 7 * c.width + 2 * heads + 2 * kv_heads + 3 * mlp  # of the operands and results of seven products
    layers = passes * c.num_layers * item * (accumulate * layer_weights(c) / tensor + work.tokens / rows * widths)
    attention = passes * 8 * work.dense_pairs / rows * c.num_heads / tensor
    outputs = 3 * item * (accumulate * c.width * c.vocab_size / tensor + work.outputs / rows * c.width)
    optimizer = 2 * (arrays.parameters + arrays.optimizer) + 2 * arrays.parameters
    return layers + attention + (outputs if work.outputs else 0) + optimizer


def make_roofline(
    peaks: Chip, count: int, config: DecoderConfig, work: Work, flops: int, traffic: float, sent: float | None
) -> Roofline:
    """Makes the roofline of a step on ``count`` devices.

    Args:
      flops: those that count as useful, over all devices.
      traffic: bytes of memory that a device moves.
      sent: bytes that a device sends; None if that is not known.
    """
    return Roofline(
        compute=executed_flops(config, work).total / count / peaks.flops,
        memory=traffic / peaks.bandwidth,
        interconnect=None if sent is None else sent / link_rate(peaks, count),
        useful=flops / count / peaks.flops,
    )
