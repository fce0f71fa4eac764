"""What cuDNN's kernel is given, with XLA's form of it in its place: this machine may have no GPU."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models
from jaxalign.data import RowShape, lists_from_tokens
from jaxalign.data.batches.lists import Selection
from jaxalign.data.batches.packed_lists import make_packed_list_batch
from jaxalign.models import attend

WINDOWED = dataclasses.replace(tiny.PLAIN, window=4, windowed_layers=(True, False))


@pytest.fixture
def kernel_calls(monkeypatch):
    """Collects of each call the length of its rows, whether it has a mask, and its window."""
    calls = []

    def fused(query, key, value, mask=None, *, scale, window=None):
        calls.append((query.shape[1], mask is not None, window))
        span = None if window is None else (window - 1, 0)
        mask = None if mask is None else mask[:, None]
        return jax.nn.dot_product_attention(
            query, key, value, mask=mask, scale=scale, is_causal=True, local_window_size=span
        )

    monkeypatch.setattr(attend, "cudnn_attention", fused)
    return calls


def both(config):
    """The model as XLA runs it, the same by cuDNN, and parameters."""
    model, params = tiny.init(config)
    return model, models.build(dataclasses.replace(config, attention="cudnn")), params


def assert_same(values_fn, xla, fused, params):
    """``values_fn(model, params)`` by both."""
    expected, found = (jax.jit(values_fn, static_argnums=0)(model, params) for model in (xla, fused))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), expected, found)


def test_bare_rows_need_no_mask(kernel_calls):
    xla, fused, params = both(WINDOWED)
    tokens = jax.random.randint(jax.random.key(1), (2, 9), 0, WINDOWED.vocab_size)
    assert_same(lambda model, p: model.apply({"params": p}, tokens), xla, fused, params)
    assert set(kernel_calls) == {(9, False, None), (9, False, WINDOWED.window)}


def test_segments_and_padding_become_a_mask(kernel_calls):
    xla, fused, params = both(WINDOWED)
    tokens = jax.random.randint(jax.random.key(1), (2, 11), 0, tiny.PLAIN.vocab_size)
    segments = jnp.array([[0] * 2 + [1] * 4 + [2] * 5, [1] * 5 + [2] * 5 + [0]])
    positions = jnp.array([[0, 0, *range(4), *range(5)], [*range(5), *range(5), 0]])

    def real_logits(model, params):
        logits = model.apply({"params": params}, tokens, segment_ids=segments, positions=positions)
        return jnp.where(segments[:, :, None] > 0, logits, 0)

    assert_same(real_logits, xla, fused, params)
    assert set(kernel_calls) == {(12, True, None)}  # rows of 11, made even


def test_lists_are_one_pass_over_the_row(kernel_calls):
    """Values and gradients."""
    xla, fused, params = both(WINDOWED)
    batch = tiny.list_batch(WINDOWED.vocab_size, p=7, k=3, r=5, left_padded=True)

    def logps_and_gradients(model, params):
        def total(params):
            logps = models.response_logps(model, params, batch)
            return jnp.sin(logps).sum(), logps

        return jax.grad(total, has_aux=True)(params)

    assert_same(logps_and_gradients, xla, fused, params)
    assert set(kernel_calls) == {(7 + 3 * 5, True, None)}


def test_packed_lists_do_not_see_each_other(kernel_calls):
    rng = np.random.default_rng(0)
    lists = lists_from_tokens(
        [rng.integers(0, 61, 4) for _ in range(3)],
        [[rng.integers(0, 61, size) for size in (3, 2)] for _ in range(3)],
        [[0.0, 1.0]] * 3,
        pad_id=0,
        limits=(4, 3),
    )
    chosen = Selection(np.arange(3), np.tile(np.arange(2), (3, 1)))
    shape = RowShape(prompt=14, lanes=2, lane=9, lists=3, responses=2)
    batch = jax.tree.map(jnp.asarray, make_packed_list_batch(lists, None, shape, [chosen], 1))
    xla, fused, params = both(WINDOWED)
    assert_same(lambda model, p: models.response_logps(model, p, batch), xla, fused, params)
    assert set(kernel_calls) == {(14 + 2 * 9, True, None)}


def test_capped_logits_stay_with_xla(kernel_calls):
    _, fused, params = both(tiny.MIXED)
    kernel_calls.clear()  # shapes of parameters come from a bare row
    jax.eval_shape(lambda p: fused.apply({"params": p}, jnp.zeros((1, 6), jnp.int32)), params)
    assert not kernel_calls


@pytest.mark.parametrize(("remat", "forward"), [("none", 1), ("dots", 1), ("full", 2)])
def test_dots_keeps_what_the_kernel_returned(monkeypatch, remat, forward):
    """How often the program of a gradient runs the kernel forward. Tracing goes as far as JAX's own checks."""
    stablehlo = importlib.import_module("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(stablehlo, "check_cudnn_version", lambda: 91500)
    monkeypatch.setattr(stablehlo, "check_is_flash_attention", lambda *arguments, **options: None)
    config = dataclasses.replace(tiny.PLAIN, attention="cudnn", dtype="bfloat16", remat=remat)
    model, params = tiny.init(config)
    tokens = jnp.zeros((1, 7), jnp.int32)

    def total(params):
        segments = jnp.ones_like(tokens)
        return model.apply({"params": params}, tokens, segment_ids=segments).sum()

    program = str(jax.make_jaxpr(jax.grad(total))(params))
    assert program.count("dot_product_attention_fwd_wrapper[") == forward
    assert program.count("dot_product_attention_bwd_wrapper[") == 1
