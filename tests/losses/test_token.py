"""token_logps(h, W, t) must equal log_softmax(cap(h W))[t], with its gradients, and never hold an [.., V] array."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxalign import sharding
from jaxalign.losses import cross_entropy_loss, token_logps


def plain(hidden, unembedding, targets, *, logit_softcap=None):
    logits = jnp.matmul(hidden, unembedding, preferred_element_type=jnp.float32)
    logits = logits if logit_softcap is None else logit_softcap * jnp.tanh(logits / logit_softcap)
    return jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]


def inputs(shape=(3, 5), d=8, v=101, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden, unembedding = jax.random.normal(keys[0], (*shape, d)), jax.random.normal(keys[1], (d, v))
    weights = jax.random.normal(keys[3], shape)
    return hidden.astype(dtype), unembedding.astype(dtype), jax.random.randint(keys[2], shape, 0, v), weights


def test_by_hand():
    # logits (0, log 3): p = (1/4, 3/4).
    logps = token_logps(jnp.ones((2, 1)), jnp.array([[0.0, np.log(3.0)]]), jnp.array([0, 1]))
    np.testing.assert_allclose(logps, np.log([0.25, 0.75]), rtol=1e-6)


# 101 columns: one block, blocks that divide nothing, a last block that overlaps by all but one column.
@pytest.mark.parametrize("block_size", [7, 50, 100, 101, 4096])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_values_and_gradients_equal_the_plain_form(block_size, softcap):
    hidden, unembedding, targets, weights = inputs()
    targets = targets.at[0, 0].set(100).at[0, 1].set(0)

    def value(f, hidden, unembedding, **options):
        logps = f(hidden, unembedding, targets, logit_softcap=softcap, **options)
        return (logps * weights).sum(), logps

    def run(f):
        return jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(hidden, unembedding)

    (_, ours), our_gradients = run(functools.partial(value, token_logps, block_size=block_size))
    (_, theirs), their_gradients = run(functools.partial(value, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_float64_reference():
    hidden, unembedding, targets, _ = inputs()
    logits = np.asarray(hidden, np.float64) @ np.asarray(unembedding, np.float64)
    total = np.log(np.exp(logits).sum(-1))
    expected = np.take_along_axis(logits, np.asarray(targets)[..., None], -1)[..., 0] - total
    np.testing.assert_allclose(token_logps(hidden, unembedding, targets, block_size=16), expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_inputs_are_summed_in_float32():
    # 4,096 equal logits: log p = -log 4096. Adding ones in bfloat16 would stop at 256.
    hidden, unembedding = jnp.ones((2, 4), jnp.bfloat16), jnp.ones((4, 4096), jnp.bfloat16)
    targets = jnp.array([3, 4000])
    logps = token_logps(hidden, unembedding, targets, block_size=1000)
    assert logps.dtype == jnp.float32
    np.testing.assert_allclose(logps, -np.log(4096), rtol=1e-6)
    gradient = jax.grad(lambda h: token_logps(h, unembedding, targets, block_size=1000).sum())(hidden)
    assert gradient.dtype == jnp.bfloat16


def test_bfloat16_gradients_are_near_float32():
    hidden, unembedding, targets, weights = inputs(dtype=jnp.bfloat16)

    def gradients(f, *arrays):
        return jax.jit(jax.grad(lambda h, w: (f(h, w, targets) * weights).sum(), argnums=(0, 1)))(*arrays)

    ours = gradients(functools.partial(token_logps, block_size=16), hidden, unembedding)
    exact = gradients(plain, hidden.astype(jnp.float32), unembedding.astype(jnp.float32))
    for a, b in zip(ours, exact, strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0.03, atol=0.03)


def test_extreme_logits_stay_finite():
    hidden, unembedding = jnp.array([[1e4]]), jnp.array([[1.0, -1.0, 0.0]])
    value, gradient = jax.value_and_grad(lambda h: token_logps(h, unembedding, jnp.array([1])).sum())(hidden)
    assert value == -2e4
    np.testing.assert_allclose(gradient, [[-2.0]])


def test_memory_is_a_sixteenth_and_no_array_spans_the_vocabulary():
    hidden, unembedding, targets, _ = inputs((256,), 16, 16_384)

    def compiled(f):
        # Targets are an argument: of constants XLA would compute parts while it compiles.
        gradients = jax.jit(jax.grad(lambda h, w, targets: f(h, w, targets).mean(), argnums=(0, 1)))
        return gradients.lower(hidden, unembedding, targets).compile()

    blockwise, whole = compiled(functools.partial(token_logps, block_size=256)), compiled(plain)
    temporary = [c.memory_analysis().temp_size_in_bytes for c in (blockwise, whole)]
    assert 16 * temporary[0] <= temporary[1]
    assert "[256,16384]" not in blockwise.as_text()
    assert "[256,16384]" in whole.as_text()


MESH_RULES = sharding.Rules({"unembedding": ("embed", "vocab")})


@functools.cache
def on_mesh(v, **sizes):
    """Compiled value and gradients with the rows over data and fsdp and the vocabulary over tensor, and its inputs."""
    mesh = sharding.make_mesh(**sizes)
    hidden, unembedding, targets, weights = inputs((8, 5), 8, v)

    def total(hidden, unembedding, targets, weights):
        with sharding.on_mesh(mesh, MESH_RULES):
            return jnp.vdot(weights, token_logps(hidden, unembedding, targets, logit_softcap=2.0, block_size=7))

    spec = PartitionSpec("fsdp", None if v % sizes["tensor"] else "tensor")
    hidden, targets, weights = sharding.place_batch((hidden, targets, weights), mesh=mesh, rules=MESH_RULES)
    arrays = hidden, jax.device_put(unembedding, NamedSharding(mesh, spec)), targets, weights
    return jax.jit(jax.value_and_grad(total, argnums=(0, 1))).lower(*arrays).compile(), arrays


@pytest.mark.parametrize("sizes", [{"data": 2, "tensor": 2}, {"fsdp": 1, "tensor": 8}, {"fsdp": 4, "tensor": 2}])
def test_a_split_vocabulary_gives_the_numbers_of_one_device(sizes):
    compiled, arrays = on_mesh(104, **sizes)
    hidden, unembedding, targets, weights = inputs((8, 5), 8, 104)
    total = lambda h, u: jnp.vdot(weights, plain(h, u, targets, logit_softcap=2.0))  # noqa: E731
    expected = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(hidden, unembedding)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), compiled(*arrays), expected)


def test_no_logits_and_no_columns_travel_between_devices():
    """A token sends one number forward and one hidden state backward. 8 x 5 tokens, D = 8, V = 104 over 8."""
    text = on_mesh(104, fsdp=1, tensor=8)[0].as_text()
    assert "all-gather" not in text
    travelling = re.findall(r"= (?:\()?(f32\[[\d,]*\]).* all-reduce\(", text)
    assert set(travelling) == {"f32[8,5]", "f32[8,5,8]"}


def test_a_vocabulary_that_cannot_be_split_evenly_stays_whole():
    compiled, arrays = on_mesh(101, fsdp=1, tensor=8)
    _, unembedding, targets, weights = inputs((8, 5), 8, 101)
    expected = jnp.vdot(weights, plain(jax.device_get(arrays[0]), unembedding, targets, logit_softcap=2.0))
    np.testing.assert_allclose(compiled(*arrays)[0], expected, rtol=1e-5)


def test_cross_entropy_counts_only_where():
    hidden, unembedding, targets, _ = inputs()
    where = jnp.zeros(targets.shape, bool).at[1, 2].set(True)
    expected = -token_logps(hidden, unembedding, targets)[1, 2]
    np.testing.assert_allclose(cross_entropy_loss(hidden, unembedding, targets, where=where), expected, rtol=1e-6)
