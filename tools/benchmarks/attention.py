"""Attention over causal rows by cuDNN's fused kernel and in plain XLA: time, memory and share of the roofline."""

import functools
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxalign.models import attention as kernels
from tools.benchmarks import flops, roofline
from tools.benchmarks.measure import Table, take_turns, temporary_bytes
from tools.benchmarks.token_logps import largest_difference
from tools.hardware import Chip, peaks_of

TITLE = "Attention over causal rows"
HEADER = ("rows", "tokens", "segments", "form", "pass", *roofline.HEADER, "temporary MB", "difference")
TOKENS = 16_384
SEGMENTS = 4
LENGTHS = (4096, 1024, 8192, 2048)  # the most telling first


class Case(NamedTuple):
    """Rows, their tokens, segments of equal length in each, heads of queries and of keys, and the width of a head."""

    rows: int
    length: int
    segments: int = 1
    heads: int = 16
    kv_heads: int = 8
    width: int = 128

    def cost(self, backward: bool) -> roofline.Cost:
        """Products of each query with the keys up to it, as ``flops.CONVENTION`` counts them.

        Forward reads queries, keys and values and writes as much as the queries; backward reads these and the
        cotangent, and writes three.
        """
        pairs = self.rows * self.segments * flops.visible_pairs(1, 1, self.length // self.segments, None)
        forward = 4 * self.heads * self.width * pairs
        elements = self.rows * self.length * self.width
        queries, keys = 2 * elements * self.heads, 2 * elements * self.kv_heads
        if not backward:
            return roofline.Cost(forward, 2 * queries + 2 * keys)
        return roofline.Cost(3 * forward, 2 * queries + 2 * keys + (4 * queries + 4 * keys))


def xla_form(query, key, value, *, segments, scale):
    """Attends with a mask."""
    return kernels.attention(query, key, value, _mask(query, segments), scale=scale)


def fused_form(query, key, value, *, segments, scale):
    """Calls cuDNN as rows of one example do."""
    return kernels.cudnn_attention(query, key, value, scale=scale)


def masked_form(query, key, value, *, segments, scale):
    """Calls cuDNN as packed rows do."""
    return kernels.cudnn_attention(query, key, value, _mask(query, segments), scale=scale)


BARE: Mapping[str, Callable] = {"XLA": xla_form, "cuDNN": fused_form}
PACKED: Mapping[str, Callable] = {"XLA": xla_form, "cuDNN, mask": masked_form}


def table(rounds: int) -> Table:
    """One row a length, form and pass; without a GPU, a sentence."""
    if jax.default_backend() != "gpu":
        return Table(TITLE, ("Not measured: cuDNN's kernel needs a GPU.",))
    case = Case(0, 0)
    return Table(
        title=TITLE,
        notes=(
            f"{case.heads} heads of queries and {case.kv_heads} of keys of {case.width}, bfloat16, {TOKENS:,} tokens in"
            f" all; rows of one segment, and of {SEGMENTS}. Models give cuDNN segments as a mask.",
            "FLOP: products that causality leaves, backward twice the forward; what a form recomputes is not counted.",
            *roofline.NOTE,
            "Difference: of results or gradients from XLA's, largest entry over largest entry.",
        ),
        header=HEADER,
        rows=measured_rows(rounds),
    )


def measured_rows(rounds: int) -> Iterator[tuple[str, ...]]:
    """Bare rows of all lengths, packed ones of the first."""
    peaks = peaks_of(jax.devices()[0])
    for length in LENGTHS:
        yield from rows(Case(TOKENS // length, length), BARE, rounds, peaks)
        if length == LENGTHS[0]:
            yield from rows(Case(TOKENS // length, length, SEGMENTS), PACKED, rounds, peaks)


def rows(case: Case, forms: Mapping[str, Callable], rounds: int, peaks: Chip | None) -> Iterator[tuple[str, ...]]:
    """One row a form and pass; of a form that XLA or JAX refuses here, what they say."""
    for backward in (False, True):
        expected = None
        for name, form in forms.items():
            which = "forward + backward" if backward else "forward"
            start = str(case.rows), str(case.length), str(case.segments), name, which
            try:
                program, inputs = compile_form(form, case, backward)
                found = program(*inputs)
            except (jax.errors.JaxRuntimeError, NotImplementedError) as error:  # how XLA and JAX refuse a kernel
                yield (*start, str(error).splitlines()[0])
                continue
            wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), found)
            expected = wide if expected is None else expected
            seconds = statistics.median(take_turns({name: functools.partial(program, *inputs)}, rounds)[name])
            yield (
                *start,
                *roofline.cells(case.cost(backward), seconds, peaks),
                f"{temporary_bytes(program) / 1e6:,.0f}",
                f"{largest_difference(wide, expected):.1e}",
            )


def compile_form(form: Callable, case: Case, backward: bool):
    """The program, and what it takes."""
    b, length, segments, heads, kv_heads, width = case
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(b, length, n, width) for n in (heads, kv_heads, kv_heads, heads)]
    query, key, value, cotangent = (jax.random.normal(k, s, jnp.bfloat16) for k, s in zip(keys, shapes, strict=True))
    attend = functools.partial(form, segments=segments, scale=width**-0.5)

    def gradients(query, key, value, cotangent):
        result, pull = jax.vjp(attend, query, key, value)
        return result, *pull(cotangent)

    inputs = (query, key, value, cotangent) if backward else (query, key, value)
    return jax.jit(gradients if backward else attend).lower(*inputs).compile(), inputs


def _mask(query, segments: int):
    """``[B, Q, Q]``, as models make it for rows of so many segments."""
    b, length = query.shape[:2]
    places = jnp.broadcast_to(jnp.arange(length), (b, length))
    size = length // segments
    return kernels.visible(places % size, places % size, places // size + 1, places // size + 1)
