"""A linear probe: scikit-learn's coefficients, and embeddings by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from sklearn.linear_model import LogisticRegression

from jaxalign import models
from jaxalign.models import probe
from jaxalign.typing import TextBatch


def made_classes(classes, width, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 240)
    centres = rng.standard_normal((classes, width))
    return (centres[labels] + 1.5 * rng.standard_normal((240, width))).astype(np.float32), labels


@pytest.mark.parametrize(("classes", "width", "c"), [(3, 8, 1.0), (2, 8, 1.0), (6, 40, 10.0), (4, 8, 1e-3)])
def test_coefficients_of_scikit_learn(classes, width, c):
    x, labels = made_classes(classes, width)
    probe = models.fit_probe(jnp.asarray(x), labels, num_classes=classes, inverse_penalty=c)
    theirs = LogisticRegression(C=c, tol=1e-9, max_iter=10_000).fit(x.astype(np.float64), labels)
    if classes == 2:
        assert not probe.weights[:, 0].any() and probe.bias[0] == 0
        ours = probe.weights[:, 1:].T, probe.bias[1:]
    else:
        ours = probe.weights.T, probe.bias
    np.testing.assert_allclose(ours[0], theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours[1], theirs.intercept_ - (theirs.intercept_.mean() if classes > 2 else 0), atol=1e-3)
    probabilities = jax.nn.softmax(models.probe_logits(probe, x))
    np.testing.assert_allclose(probabilities, theirs.predict_proba(x), atol=1e-4)


def test_the_gradient_vanishes_at_the_fit():
    """C times the sum of (probability - label) times the embedding, plus the weights, is 0."""
    x, labels = made_classes(3, 8)
    probe = models.fit_probe(x, labels, num_classes=3, inverse_penalty=0.5)
    error = np.asarray(jax.nn.softmax(models.probe_logits(probe, x)), np.float64) - np.eye(3)[labels]
    np.testing.assert_allclose(0.5 * x.T @ error + probe.weights, 0, atol=1e-3)
    np.testing.assert_allclose(error.sum(axis=0), 0, atol=1e-3)


def test_counts_of_words_give_the_same_fit_as_an_array_without_zeros(monkeypatch):
    rng = np.random.default_rng(0)
    counts, labels = rng.poisson(0.1, (60, 40)).astype(np.float32), rng.integers(0, 3, 60)
    assert np.count_nonzero(counts) < 0.2 * counts.size
    sparse = models.fit_probe(counts, labels, num_classes=3)
    monkeypatch.setattr(probe, "SPARSE", 0.0)
    for part, other in zip(sparse, models.fit_probe(counts, labels, num_classes=3), strict=True):
        np.testing.assert_allclose(part, other, atol=1e-5)


def test_a_class_without_a_text_is_unlikely():
    x, labels = made_classes(3, 8)
    probe = models.fit_probe(x, labels, num_classes=4)
    assert probe.weights.shape == (8, 4)
    assert np.asarray(jax.nn.softmax(models.probe_logits(probe, x)))[:, 3].max() < 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, -1, 1])}, "labels from -1 to 1 and 1.0; leave out texts without a label"),
        ({"num_classes": 1}, "1 classes"),
        ({"inverse_penalty": 0.0}, "and 0.0"),
        ({"embeddings": np.array([[1.0], [np.nan], [2.0]])}, "got 1 of 3 rows that are not"),
    ],
)
def test_what_cannot_be_fitted(changes, message):
    arguments = {
        "embeddings": np.zeros((3, 1)),
        "labels": np.array([0, 1, 1]),
        "num_classes": 2,
        "inverse_penalty": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        models.fit_probe(**arguments | changes)


def test_too_few_steps_are_told():
    x, labels = made_classes(6, 40)
    with pytest.raises(RuntimeError, match=r"not converged after 2 steps \(largest entry of the gradient .*now 1.0"):
        models.fit_probe(x, labels, num_classes=6, max_steps=2)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize("config", [tiny.ENCODER, tiny.PLAIN], ids=["encoder", "decoder"])
def test_embeddings_by_hand(config, pooling):
    model, params = tiny.init(config)
    rng, mask = np.random.default_rng(0), np.arange(6) < np.array([[6], [3], [1], [0]])
    tokens = rng.integers(0, 61, mask.shape, np.int32)
    batch = TextBatch(tokens, mask, np.full(4, -1, np.int32), mask.any(axis=1))
    found = models.embed_texts(model, params, [batch, batch], pooling=pooling)
    method = {} if config is tiny.ENCODER else {"method": "hidden"}
    hidden = jax.jit(lambda p, t, m: model.apply({"params": p}, t, mask=m, **method))(params, tokens, mask)
    take = {"mean": lambda h: h.mean(axis=0), "first": lambda h: h[0], "last": lambda h: h[-1]}[pooling]
    expected = [take(np.asarray(row[real])) for row, real in zip(hidden, mask, strict=True) if real.any()]
    np.testing.assert_allclose(found, [*expected, *expected], rtol=1e-4, atol=1e-5)
    unit = models.embed_texts(model, params, [batch], pooling=pooling, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(unit[0], found[0] / np.linalg.norm(found[0]), rtol=1e-4)
