"""Token log-probabilities with gradients: block by block over the vocabulary, against the plain form."""

import functools
import statistics
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxalign import losses
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_turns, temporary_bytes


class Case(NamedTuple):
    """Tokens, width, vocabulary, and the dtype of hidden states and unembedding."""

    tokens: int
    width: int
    vocab_size: int
    dtype: str


HEADER = ("N", "D", "V", "dtype", "plain ms", "time ratio", "plain MB", "memory ratio", "gradient difference")
ISSUE_CASE = Case(1024, 128, 65_536, "float32")
# A model's width: what the small case cannot show on a device that multiplies 1,024 x 128 in microseconds.
ACCELERATOR_CASES = (Case(1024, 128, 65_536, "bfloat16"), Case(8192, 2048, 65_536, "bfloat16"))


def table(rounds: int) -> Table:
    """One row a case."""
    cases = (ISSUE_CASE, *ACCELERATOR_CASES) if on_accelerator() else (ISSUE_CASE,)
    return Table(
        title="token_logps, forward and backward",
        notes=(
            "Blockwise `losses.token_logps` against `log_softmax(hidden @ unembedding)` and a gather, both with",
            "gradients of a weighted sum with respect to hidden states and unembedding. Gradient difference: from the",
            "plain form in float32, largest entry over largest entry. Goals at float32: at least 16 times less",
            "temporary memory, time ratio at most 1, gradients to 1e-5.",
        ),
        header=HEADER,
        rows=[row(case, rounds) for case in cases],
    )


def row(case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one case: time is blockwise over plain, memory plain over blockwise."""
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (case.tokens, case.width)).astype(case.dtype)
    unembedding = (0.1 * jax.random.normal(keys[1], (case.width, case.vocab_size))).astype(case.dtype)
    targets = jax.random.randint(keys[2], (case.tokens,), 0, case.vocab_size)
    weights = jax.random.normal(keys[3], (case.tokens,))
    inputs = hidden, unembedding, targets, weights
    wide = hidden.astype(jnp.float32), unembedding.astype(jnp.float32), targets, weights

    forms = {"blockwise": _compile(losses.token_logps, inputs), "plain": _compile(plain_token_logps, inputs)}
    seconds = take_turns({name: functools.partial(form, *inputs) for name, form in forms.items()}, rounds)
    memory = {name: temporary_bytes(form) for name, form in forms.items()}
    expected = _compile(plain_token_logps, wide)(*wide)[1]
    return (
        *(f"{size:,}" for size in case[:3]),
        case.dtype,
        f"{1e3 * statistics.median(seconds['plain']):.3g}",
        f"{median_ratio(seconds['blockwise'], seconds['plain']):.2f}",
        f"{memory['plain'] / 1e6:,.0f}",
        f"{memory['plain'] / memory['blockwise']:.1f}",
        f"{largest_difference(forms['blockwise'](*inputs)[1], expected):.1e}",
    )


def plain_token_logps(hidden, unembedding, targets):
    """What one writes first: all logits at once."""
    logits = jnp.matmul(hidden, unembedding, preferred_element_type=jnp.float32)
    return jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)[:, 0]


def largest_difference(found, expected) -> float:
    """Compares arrays: the largest ``max |found - expected| / max |expected|``."""
    ratios = jax.tree.map(lambda f, e: jnp.abs(f.astype(e.dtype) - e).max() / jnp.abs(e).max(), found, expected)
    return max(float(ratio) for ratio in jax.tree.leaves(ratios))


def _compile(logps_fn, inputs):
    def weighted_sum(hidden, unembedding, targets, weights):
        return jnp.vdot(weights, logps_fn(hidden, unembedding, targets))

    # Accelerators multiply float32 in fewer bits unless told otherwise, and then no gradient holds to 1e-5.
    precision = "highest" if inputs[0].dtype == jnp.float32 else None
    with jax.default_matmul_precision(precision):
        return jax.jit(jax.value_and_grad(weighted_sum, argnums=(0, 1))).lower(*inputs).compile()
