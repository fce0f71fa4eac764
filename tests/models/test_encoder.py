"""The encoder's masks, positions and shardings; parity with transformers stands in tests/parity."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models, sharding

TOKENS = jax.random.randint(jax.random.key(1), (2, 7), 0, tiny.ENCODER.vocab_size)
TYPES = jnp.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1]])


@pytest.fixture(scope="module")
def encoder():
    return tiny.init(tiny.ENCODER)


def test_padding_changes_nothing_whatever_it_holds(encoder):
    model, params = encoder
    mask = jnp.arange(10)[None] < jnp.array([[7], [7]])
    plain = tiny.forward(model, params, TOKENS, token_types=TYPES)
    for filler in 0, 9:
        tokens, types = (jnp.pad(x, ((0, 0), (0, 3)), constant_values=v) for x, v in ((TOKENS, filler), (TYPES, 1)))
        hidden = tiny.forward(model, params, tokens, mask=mask, token_types=types)
        np.testing.assert_allclose(hidden[:, :7], plain, rtol=1e-4, atol=1e-5)


def test_every_token_sees_every_other(encoder):
    model, params = encoder
    plain = tiny.forward(model, params, TOKENS)
    for changed in range(7):
        other = TOKENS.at[:, changed].set((TOKENS[:, changed] + 1) % 61)
        differs = np.abs(np.asarray(tiny.forward(model, params, other) - plain)).max(axis=2) > 1e-5
        assert differs.all()


def test_positions_place_tokens(encoder):
    """Rows in any order are the same row if positions and types go with the tokens."""
    model, params = encoder
    order = np.array([3, 1, 6, 0, 5, 2, 4])
    plain = tiny.forward(model, params, TOKENS, token_types=TYPES)
    positions = jnp.broadcast_to(jnp.asarray(order), TOKENS.shape)
    moved = tiny.forward(model, params, TOKENS[:, order], token_types=TYPES[:, order], positions=positions)
    np.testing.assert_allclose(moved, plain[:, order], rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(tiny.forward(model, params, TOKENS[:, order]) - plain[:, order])).max() > 0.1


def test_a_row_beyond_the_last_position_is_an_error(encoder):
    model, params = encoder
    tiny.forward(model, params, jnp.zeros((1, 32), jnp.int32))
    with pytest.raises(ValueError, match="rows of 33 tokens, but the encoder has positions for 32"):
        tiny.forward(model, params, jnp.zeros((1, 33), jnp.int32))


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match=r"width \(16\) must be a multiple of num_heads \(5\)"):
        dataclasses.replace(tiny.ENCODER, num_heads=5)


def test_the_pooler_by_hand(encoder):
    model, params = encoder
    first = jnp.asarray(np.random.default_rng(0).standard_normal((2, 16)), jnp.float32)
    pooled = model.apply({"params": params}, first, method=model.pool_first)
    expected = np.tanh(np.asarray(first) @ np.asarray(params["pooler"]) + np.asarray(params["pooler_bias"])[None])
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("remat", ["full"])
def test_rematerialisation_changes_no_gradient(encoder, remat):
    model, params = encoder
    again = models.build(dataclasses.replace(model.config, remat=remat))
    plain, other = (
        jax.jit(jax.grad(lambda p, m=m: (m.apply({"params": p}, TOKENS)[..., 0] ** 2).sum()))(params)
        for m in (model, again)
    )
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain)) > 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, other)


def test_bfloat16_compute_stays_near_float32(encoder):
    model, params = encoder
    half = models.build(dataclasses.replace(model.config, dtype="bfloat16"))
    exact, rough = (tiny.forward(m, params, TOKENS, token_types=TYPES) for m in (model, half))
    assert rough.dtype == jnp.bfloat16
    np.testing.assert_allclose(rough.astype(jnp.float32), exact, atol=0.1)


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 4)])
def test_sharded_states_equal_single_device(shape):
    model, params = tiny.init(dataclasses.replace(tiny.ENCODER, vocab_size=64))
    mesh = sharding.make_mesh(**dict(zip(("data", "fsdp", "tensor"), shape, strict=True)))
    rules = sharding.Rules(models.LOGICAL_AXES)
    tokens = jnp.tile(TOKENS, (4, 1))
    shardings = sharding.param_shardings(params, mesh, rules)
    expected = tiny.forward(model, params, tokens)
    with jax.set_mesh(mesh):
        placed = sharding.place_batch(tokens, mesh=mesh, rules=rules)
        hidden = tiny.forward(model, sharding.place(params, shardings), placed)
    np.testing.assert_allclose(hidden, expected, rtol=1e-4, atol=1e-5)
    if shape == (2, 2, 2):
        assert shardings["layers"]["mlp"]["up"].spec == jax.sharding.PartitionSpec(None, "fsdp", "tensor")
