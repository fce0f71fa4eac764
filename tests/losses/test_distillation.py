"""Divergences by hand, by torch and by TRL; their streamed loss against the plain one, its memory and its sharding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy import log
from trl.experimental.gkd.gkd_trainer import GKDTrainer

from jaxalign import losses, numerics
from jaxalign.losses import distillation

DIVERGENCES = {
    "forward KL": losses.forward_kl_divergence,
    "reverse KL": losses.reverse_kl_divergence,
    "JSD": losses.make_js_divergence(),
    "JSD 0.2": losses.make_js_divergence(0.2),
    "total variation": losses.total_variation_divergence,
    "forward KL, warm": losses.with_temperature(losses.forward_kl_divergence, 2.0),
}
# Three words. Constants added to the logits change nothing.
TEACHER, STUDENT = jnp.log(jnp.array([0.5, 0.25, 0.25])) + 3.0, jnp.log(jnp.array([0.25, 0.25, 0.5])) - 2.0


@pytest.fixture(params=DIVERGENCES.values(), ids=DIVERGENCES)
def divergence_fn(request):
    return request.param


def random_logits(seed=0, shape=(4, 5), scale=3.0):
    logits = scale * np.random.default_rng(seed).standard_normal((2, *shape), np.float32)
    return [jax.device_put(each) for each in logits]


@pytest.mark.parametrize(
    "divergence_fn, expected",
    [
        # 0.5 log 2 + 0 + 0.25 log(1/2), and the mirror image of it
        (losses.forward_kl_divergence, 0.25 * log(2)),
        (losses.reverse_kl_divergence, 0.25 * log(2)),
        (losses.total_variation_divergence, 0.25),
        # The mixture is (3/8, 1/4, 3/8).
        (losses.make_js_divergence(), 0.5 * log(4 / 3) + 0.25 * log(2 / 3)),
        # A quarter of the teacher, three of the student: (5/16, 1/4, 7/16).
        (
            losses.make_js_divergence(0.25),
            0.25 * (0.5 * log(8 / 5) + 0.25 * log(4 / 7)) + 0.75 * (0.25 * log(4 / 5) + 0.5 * log(8 / 7)),
        ),
        # At temperature 1/2 probabilities are squared: (4, 1, 1) / 6 and (1, 1, 4) / 6.
        (losses.with_temperature(losses.forward_kl_divergence, 0.5), 0.5 * log(4)),
        (losses.with_temperature(losses.total_variation_divergence, 0.5), 0.5),
    ],
)
def test_by_hand(divergence_fn, expected):
    np.testing.assert_allclose(divergence_fn(STUDENT, TEACHER), expected, rtol=1e-5)


def test_kl_divergences_differ():
    # KL(p|q) with p = (1/2, 1/2), q = (3/4, 1/4): (log(2/3) + log 2) / 2, and 3/4 log(3/2) + 1/4 log(1/2) back.
    teacher, student = jnp.zeros(2), jnp.log(jnp.array([0.75, 0.25]))
    np.testing.assert_allclose(losses.forward_kl_divergence(student, teacher), 0.5 * log(4 / 3), rtol=1e-5)
    expected = 0.75 * log(1.5) + 0.25 * log(0.5)
    np.testing.assert_allclose(losses.reverse_kl_divergence(student, teacher), expected, rtol=1e-5)


def test_slope_of_the_forward_kl_is_the_difference_of_probabilities():
    slope = jax.grad(losses.forward_kl_divergence)(STUDENT, TEACHER)
    np.testing.assert_allclose(slope, [-0.25, 0, 0.25], atol=1e-6)


def with_torch(function, *arrays):
    """Value, and gradient by the first array."""
    tensors = [torch.tensor(np.asarray(array), requires_grad=True) for array in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), tensors[0].grad.numpy()


def assert_equals_torch(ours, theirs, student, teacher, rtol=1e-4):
    value, slope = jax.jit(jax.value_and_grad(lambda s, t: ours(s, t).mean()))(student, teacher)
    expected, expected_slope = with_torch(theirs, student, teacher)
    np.testing.assert_allclose(value, expected, rtol=rtol)
    np.testing.assert_allclose(slope, expected_slope, rtol=rtol, atol=1e-6)


def test_kl_equals_torch():
    student, teacher = random_logits(shape=(20, 30))
    kl_div = functools.partial(torch.nn.functional.kl_div, log_target=True, reduction="batchmean")
    forward = lambda s, t: kl_div(s.log_softmax(-1), t.log_softmax(-1))  # noqa: E731
    reverse = lambda s, t: kl_div(t.log_softmax(-1), s.log_softmax(-1))  # noqa: E731
    assert_equals_torch(losses.forward_kl_divergence, forward, student, teacher)
    assert_equals_torch(losses.reverse_kl_divergence, reverse, student, teacher)
    variation = lambda s, t: 0.5 * (s.softmax(-1) - t.softmax(-1)).abs().sum(-1).mean()  # noqa: E731
    assert_equals_torch(losses.total_variation_divergence, variation, student, teacher)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(
    "beta, ours",
    [
        (0.0, losses.forward_kl_divergence),
        (0.1, losses.make_js_divergence(0.1)),
        (0.5, losses.make_js_divergence()),
        (0.9, losses.make_js_divergence(0.9)),
        (1.0, losses.reverse_kl_divergence),
    ],
)
def test_equals_gkd_of_trl(beta, ours, temperature):
    student, teacher = random_logits(1, shape=(3, 7, 30))
    labels = torch.zeros(3, 7, dtype=int)
    labels[0, 3:] = -100
    theirs = functools.partial(
        GKDTrainer.generalized_jsd_loss, labels=labels, beta=beta, temperature=temperature, reduction="batchmean"
    )
    where = jnp.array(labels.numpy() == 0)
    masked = lambda s, t: numerics.masked_mean(losses.with_temperature(ours, temperature)(s, t), where=where)  # noqa: E731
    assert_equals_torch(masked, theirs, student, teacher)


def test_limits_of_jsd():
    student, teacher = random_logits(2, scale=1.0)
    small = losses.make_js_divergence(1e-3)(student, teacher) / 1e-3
    np.testing.assert_allclose(small, losses.forward_kl_divergence(student, teacher), rtol=0.02)
    large = losses.make_js_divergence(1 - 1e-3)(student, teacher) / 1e-3
    np.testing.assert_allclose(large, losses.reverse_kl_divergence(student, teacher), rtol=0.02)


def test_identities(divergence_fn):
    student, teacher = random_logits(3, shape=(50, 9))
    values, compiled = divergence_fn(student, teacher), jax.jit(divergence_fn)
    assert values.shape == (50,) and values.min() > 0
    np.testing.assert_allclose(compiled(student, teacher), values, rtol=1e-5, atol=1e-6)
    student, teacher = np.asarray(student), np.asarray(teacher)
    np.testing.assert_allclose(compiled(teacher, teacher), 0, atol=1e-7)
    np.testing.assert_allclose(compiled(student + 5, teacher - 3), values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled(student[:, ::-1], teacher[:, ::-1]), values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(divergence_fn)(student, teacher), values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, most", [("JSD", log(2)), ("total variation", 1.0)])
def test_symmetric_and_bounded(name, most):
    student, teacher = random_logits(4, shape=(50, 9))
    values = DIVERGENCES[name](student, teacher)
    np.testing.assert_allclose(DIVERGENCES[name](teacher, student), values, rtol=1e-4, atol=1e-6)
    assert values.max() <= most
    np.testing.assert_allclose(DIVERGENCES[name](*(1e4 * jnp.eye(2)[:, None])), most, rtol=1e-6)


def test_no_gradient_to_the_teacher(divergence_fn):
    student, teacher = random_logits(5)
    slopes = jax.jit(jax.grad(lambda *x: divergence_fn(*x).sum(), argnums=(0, 1)))
    student_slope, teacher_slope = slopes(student, teacher)
    assert np.abs(student_slope).max() > 1e-3
    np.testing.assert_array_equal(teacher_slope, 0)


def test_impossible_words(divergence_fn):
    """A word that both rule out might as well not exist; one that only one rules out gives finite values and slopes."""
    student, teacher = random_logits(6, shape=(4, 6))
    value_and_slope = jax.jit(jax.value_and_grad(lambda *x: divergence_fn(*x).sum()))
    student_without, teacher_without = (np.where(np.arange(6) == 0, -np.inf, x) for x in (student, teacher))
    neither = value_and_slope(student_without, teacher_without)
    expected = value_and_slope(student[:, 1:], teacher[:, 1:])
    np.testing.assert_allclose(neither[0], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(neither[1][:, 0], 0)
    np.testing.assert_allclose(neither[1][:, 1:], expected[1], rtol=1e-4, atol=1e-6)
    for pair in (student_without, teacher), (student, teacher_without):
        value, slope = value_and_slope(*pair)
        assert 0 < value < 1e8 and np.isfinite(slope).all()
    # What the teacher rules out becomes less likely.
    assert value_and_slope(student, teacher_without)[1][0, 0] > 0


def test_extremes_stay_finite(divergence_fn):
    value_and_slope = jax.jit(jax.value_and_grad(lambda *x: divergence_fn(*x).sum()))
    value, slope = value_and_slope(*random_logits(7, scale=1e4))
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_bfloat16_logits_are_computed_in_float32(divergence_fn):
    divergence_fn = jax.jit(divergence_fn)
    coarse = [x.astype(jnp.bfloat16) for x in random_logits(8)]
    values = divergence_fn(*coarse)
    assert values.dtype == jnp.float32
    np.testing.assert_array_equal(values, divergence_fn(*(x.astype(jnp.float32) for x in coarse)))


def test_settings_out_of_range():
    with pytest.raises(ValueError, match=r"\(0, 1\).*got 1.0.*reverse_kl_divergence \(1\)"):
        losses.make_js_divergence(1.0)
    with pytest.raises(ValueError, match="positive, got 0"):
        losses.with_temperature(losses.forward_kl_divergence, 0.0)


CAPS = {"student_logit_softcap": 2.0, "teacher_logit_softcap": 3.0}


class TestStreamed:
    def arrays(self, tokens=(3, 5), width=8, teacher_width=12, vocabulary=11, dtype=jnp.float32):
        rng = np.random.default_rng(0)
        shapes = (*tokens, width), (width, vocabulary), (*tokens, teacher_width), (teacher_width, vocabulary)
        return tuple(jax.device_put(rng.standard_normal(shape).astype(dtype)) for shape in shapes)

    def plain(self, divergence_fn, *arrays, where=None, student_logit_softcap=None, teacher_logit_softcap=None):
        def logits(hidden, unembedding, cap):
            logits = jnp.matmul(hidden, unembedding, preferred_element_type=jnp.float32)
            return logits if cap is None else cap * jnp.tanh(logits / cap)

        student, teacher = (
            logits(*arrays[:2], student_logit_softcap),
            logits(*arrays[2:], teacher_logit_softcap),
        )
        return numerics.masked_mean(divergence_fn(student, teacher), where=where)

    # Blocks of 1, 2 (the third ends with one position) and all positions of 3 rows. Caps act in each block alike.
    @pytest.mark.parametrize(
        "name, block_size, caps",
        [
            ("JSD 0.2", 1, CAPS),
            ("JSD 0.2", 6, {}),
            ("forward KL", 1000, {}),
            *((name, 7, CAPS) for name in DIVERGENCES),
        ],
    )
    def test_equals_plain(self, name, block_size, caps):
        divergence_fn = DIVERGENCES[name]
        arrays, where = self.arrays(), jnp.arange(15).reshape(3, 5) % 4 > 0
        streamed = functools.partial(losses.divergence_loss, divergence_fn, where=where, block_size=block_size, **caps)
        plain = functools.partial(self.plain, divergence_fn, where=where, **caps)
        value, slopes = jax.jit(jax.value_and_grad(streamed, argnums=range(4)))(*arrays)
        expected, expected_slopes = jax.jit(jax.value_and_grad(plain, argnums=range(4)))(*arrays)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        for slope, other in zip(slopes, expected_slopes, strict=True):
            np.testing.assert_allclose(slope, other, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(slopes[2], 0)
        np.testing.assert_array_equal(slopes[3], 0)

    @pytest.mark.parametrize("tokens", [(), (7,), (2, 3, 4)])
    def test_any_leading_axes(self, tokens):
        arrays = self.arrays(tokens)
        each = functools.partial(losses.divergence_loss, losses.forward_kl_divergence, reduce_fn=lambda x, where: x)
        values = jax.jit(functools.partial(each, block_size=2))(*arrays)
        assert values.shape == tokens
        expected = jax.jit(functools.partial(self.plain, losses.forward_kl_divergence))(*arrays)
        np.testing.assert_allclose(np.mean(values), expected, rtol=1e-5)

    def test_parts_add_up(self):
        student, w, teacher, v = self.arrays((6, 5))
        where = jnp.arange(30).reshape(6, 5) % 7 > 1
        loss = functools.partial(losses.divergence_loss, losses.make_js_divergence(), reduce_fn=numerics.ratio)

        @jax.jit
        def whole_and_parts(student, teacher, where):
            rows = slice(0, 1), slice(1, 6), slice(0, 6)
            return [loss(student[part], w, teacher[part], v, where=where[part]) for part in rows]

        *parts, whole = whole_and_parts(student, teacher, where)
        np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-5)

    def test_what_masked_tokens_hold_does_not_matter(self, divergence_fn, allow_nans):
        student, w, teacher, v = self.arrays()
        where = jnp.arange(15).reshape(3, 5) % 4 > 0

        def run(where, fill):
            padded = (jnp.where(where[..., None], x, fill) for x in (student, teacher))
            return value_and_slopes(next(padded), w, next(padded), where)

        @jax.jit
        def value_and_slopes(student, w, teacher, where):
            loss = lambda s, w: losses.divergence_loss(divergence_fn, s, w, teacher, v, where=where)  # noqa: E731
            return jax.value_and_grad(loss, argnums=(0, 1))(student, w)

        jax.tree.map(np.testing.assert_array_equal, run(where, jnp.nan), run(where, 7.0))
        value, slopes = run(jnp.zeros_like(where), jnp.nan)
        assert value == 0 and not any(np.any(slope) for slope in slopes)

    @pytest.mark.parametrize("name", ["reverse KL", "JSD 0.2"])  # each one's own bfloat16 is tested above
    def test_bfloat16_is_near_float32(self, name):
        divergence_fn = DIVERGENCES[name]
        # 512 blocks of one token: the gradient of the output matrix added up in bfloat16 would stall.
        arrays = self.arrays((512,), dtype=jnp.bfloat16)
        arrays = (jnp.abs(arrays[0]), *arrays[1:])
        loss = functools.partial(losses.divergence_loss, divergence_fn, reduce_fn=jnp.sum, block_size=1)
        exact = tuple(x.astype(jnp.float32) for x in arrays)
        (value, slopes), (expected, expected_slopes) = (
            jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*inputs) for inputs in (arrays, exact)
        )
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, expected, rtol=1e-3)
        for slope, other in zip(slopes, expected_slopes, strict=True):
            assert slope.dtype == jnp.bfloat16
            scale = np.abs(other).max()
            np.testing.assert_allclose(slope.astype(jnp.float32) / scale, other / scale, atol=0.01)

    def test_memory_is_an_eighth_and_no_array_spans_tokens_and_vocabulary(self):
        arrays = self.arrays((4, 256), width=16, teacher_width=16, vocabulary=4096)

        def compiled(loss):
            return jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*arrays).compile()

        streamed = compiled(functools.partial(losses.divergence_loss, losses.make_js_divergence(), block_size=64))
        whole = compiled(functools.partial(self.plain, losses.make_js_divergence()))
        temporary = [c.memory_analysis().temp_size_in_bytes for c in (streamed, whole)]
        assert 8 * temporary[0] <= temporary[1]
        assert "[4,256,4096]" in whole.as_text()
        assert not any(shape in streamed.as_text() for shape in ("[4,256,4096]", "[256,4,4096]", "[1024,4096]"))

    def test_sharded_rows_stay_where_they_are(self):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
        student, w, teacher, v = self.arrays((8, 6), vocabulary=64)
        where = jnp.arange(48).reshape(8, 6) % 7 > 1
        loss = functools.partial(losses.divergence_loss, losses.reverse_kl_divergence, block_size=16)

        def run(student, w, teacher, v, where):
            return jax.value_and_grad(lambda s, w: loss(s, w, teacher, v, where=where), argnums=(0, 1))(student, w)

        expected = jax.jit(run)(student, w, teacher, v, where)
        student, teacher, where = jax.device_put((student, teacher, where), NamedSharding(mesh, P("data")))
        w, v = jax.device_put((w, v), NamedSharding(mesh, P()))
        compiled = jax.jit(run).lower(student, w, teacher, v, where).compile()
        assert "all-gather" not in compiled.as_text() and "all-to-all" not in compiled.as_text()
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6),
            compiled(student, w, teacher, v, where),
            expected,
        )

    def test_what_does_not_fit_is_refused(self):
        # Before the shape checks of the tests, which users do not have.
        with pytest.raises(ValueError, match=r"same tokens, got \(3, 5\) and \(3, 4\)"):
            distillation._check((3, 5), (3, 4), 11, 11, 1)
        with pytest.raises(ValueError, match="one vocabulary for both models, got 11 and 12 columns; cut"):
            distillation._check((3, 5), (3, 5), 11, 12, 1)
        with pytest.raises(ValueError, match="got block_size=0"):
            losses.divergence_loss(losses.forward_kl_divergence, *self.arrays(), block_size=0)
