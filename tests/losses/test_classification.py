"""Losses of classifiers: by hand, and against torch; the shared battery has the rest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jaxalign import losses

each = lambda values, where: values  # noqa: E731


def test_one_class_by_hand():
    """Odds of 1 : 2 : 5 give the probabilities 1/8, 1/4 and 5/8, whatever is added to all logits."""
    logits = jnp.log(jnp.array([[1.0, 2.0, 5.0]] * 3)) + jnp.array([[0.0], [7.0], [-900.0]])
    found = losses.softmax_cross_entropy_loss(logits, jnp.array([0, 1, 2]), reduce_fn=each)
    np.testing.assert_allclose(found, np.log([8, 4, 8 / 5]), rtol=1e-4)


def test_several_labels_by_hand():
    """Logits of 0 and log 3 are chances of 1/2 and 3/4; the mean is over classes."""
    logits = jnp.array([[0.0, jnp.log(3.0)]] * 3)
    labels = jnp.array([[1.0, 1.0], [0.0, 0.0], [0.5, 0.75]])
    soft = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    expected = [(np.log(2) + np.log(4 / 3)) / 2, (np.log(2) + np.log(4)) / 2, (np.log(2) + soft) / 2]
    np.testing.assert_allclose(losses.sigmoid_cross_entropy_loss(logits, labels, reduce_fn=each), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(7, 4), (2, 3, 5)])
def test_values_and_gradients_of_torch(shape):
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal(shape).astype(np.float32)
    classes, several = rng.integers(0, shape[-1], shape[:-1]), rng.integers(0, 2, shape).astype(np.float32)
    ours = (losses.softmax_cross_entropy_loss, classes), (losses.sigmoid_cross_entropy_loss, several)
    theirs = (
        lambda z: torch.nn.functional.cross_entropy(z.flatten(0, -2), torch.tensor(classes).flatten()),
        lambda z: torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(several)),
    )
    for (loss, labels), reference in zip(ours, theirs, strict=True):
        value, slope = jax.jit(jax.value_and_grad(loss))(logits, labels)
        tensor = torch.tensor(logits, requires_grad=True)
        expected = reference(tensor)
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
        np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-4, atol=1e-7)
    both = losses.softmax_cross_entropy_loss(jnp.asarray(logits), jnp.asarray(classes), reduce_fn=each)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    np.testing.assert_allclose(both, expected, rtol=1e-5)


def test_a_class_that_does_not_exist_is_not_taken_for_another(allow_nans):
    """Indexing would clip 3 to the last class and read -1 from the end."""
    logits, labels = jnp.zeros((3, 3)), jnp.array([-1, 3, 0])
    found = losses.softmax_cross_entropy_loss(logits, labels, reduce_fn=each)
    assert np.isnan(found).tolist() == [True, True, False]
    assert losses.softmax_cross_entropy_loss(logits, labels, where=labels == 0) == pytest.approx(np.log(3))


def test_classes_that_do_not_count_by_hand(allow_nans):
    """Logits of 0 and log 3 are chances of 1/2 and 3/4; a sum over classes, and over texts with a weight for each."""
    logits = jnp.array([[0.0, jnp.log(3.0), jnp.nan], [jnp.log(3.0), 0.0, 0.0], [jnp.nan] * 3])
    labels = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    where = jnp.array([[True, True, False], [True, False, True], [False] * 3])
    found = losses.masked_sigmoid_cross_entropy_loss(logits, labels, where=where, reduce_fn=each)
    texts = np.array([np.log(2) + np.log(4 / 3), np.log(4) + np.log(2), 0])
    np.testing.assert_allclose(found, texts, rtol=1e-6)
    loss = losses.masked_sigmoid_cross_entropy_loss
    np.testing.assert_allclose(loss(logits, labels, where=where), texts.sum(), rtol=1e-6)
    generated = losses.weighted(jnp.sum, jnp.array([1.0, 2.5, 2.5]))
    np.testing.assert_allclose(loss(logits, labels, where=where, reduce_fn=generated), texts @ [1, 2.5, 1], rtol=1e-6)


def test_masked_classes_against_torch():
    """The authors call it with weights of 0 and 1 and reduction="sum"."""
    rng = np.random.default_rng(0)
    logits, labels, where = 3 * rng.standard_normal((7, 4)), rng.integers(0, 2, (7, 4)), rng.random((7, 4)) < 0.6
    logits, labels = logits.astype(np.float32), labels.astype(np.float32)
    loss = lambda z: losses.masked_sigmoid_cross_entropy_loss(z, jnp.asarray(labels), where=jnp.asarray(where))  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(loss))(logits)
    tensor = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        tensor, torch.tensor(labels), torch.tensor(where, dtype=torch.float32), reduction="sum"
    )
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-4, atol=1e-7)
