"""The parts around a classifier's training: what is held out, probes, and figures of a test set."""

import collections
import dataclasses

import jax
import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
import sklearn.multiclass

from experiments.common import fields
from experiments.common.classifiers import figures, starts, training
from experiments.common.classifiers.settings import ClassifierTraining
from experiments.common.classifiers.split import rarest, split_rows

CLASSES = ("a", "b", "c", "d")
PROBE = ClassifierTraining(classifier="probe", encoder_words=40)


@pytest.mark.parametrize("seed", range(3))
def test_each_class_gives_its_share(seed):
    labels = np.random.default_rng(9).permutation(list("a" * 50 + "b" * 30 + "c" * 15 + "d" * 5)).tolist()
    split = split_rows(labels, 0.2, seed)
    assert collections.Counter(labels[row] for row in split.dev) == {"a": 10, "b": 6, "c": 3, "d": 1}
    assert sorted([*split.train, *split.dev]) == list(range(100))
    assert np.array_equal(split.dev, split_rows(labels, 0.2, seed).dev)
    assert not np.array_equal(split.dev, split_rows(labels, 0.2, seed + 1).dev)


@pytest.mark.parametrize(
    ("labels", "share", "held_out"),
    [
        ("aaaaaaaaab", 0.1, {"a": 1}),  # the only one of its class is learnt from
        ("aaab", 0.0, {"a": 1}),  # at least one
        ("abcd", 0.5, {"a": 1, "b": 1}),  # nothing else is left to hold out
        ("aab", 1.0, {"a": 1, "b": 1}),  # at least one is learnt from
    ],
)
def test_small_and_uneven_classes(labels, share, held_out):
    split = split_rows(labels, share, 0)
    assert collections.Counter(labels[row] for row in split.dev) == held_out


def test_texts_of_several_labels_stand_under_their_rarest():
    assert rarest([["a", "b"], ["a"], [], ["b", "a", "c"], ["a"]]) == ["b", "a", None, "c", "a"]


def made(count, seed, several=False):
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        names = [name for name in CLASSES if rng.random() < 0.3] if several else [str(rng.choice(CLASSES))]
        words = [f"{name}{rng.integers(4)}" for name in names for _ in range(3)] + ["the"] * rng.integers(1, 4)
        wrong = [f"{rng.choice(list(CLASSES))}{rng.integers(4)}" for _ in range(2)]
        texts.append(" ".join(rng.permutation([*words, *wrong])))
        labels.append(names if several else names[0])
    return texts, labels


def bags(trained, texts):
    """Word counts by hand, with unit norm."""
    vocabulary = trained.start.tokenizer.vocabulary
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, text in enumerate(texts):
        for word in text.split():
            counts[row, vocabulary.get(word, vocabulary["[UNK]"])] += 1
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.mark.parametrize("several", [False, True])
def test_a_probe_of_words_is_the_regression_of_scikit_learn(several, tmp_path):
    (texts, labels), (test, _) = made(80, 0, several), made(30, 1, several)
    trained = training.train_classifier(texts, labels, CLASSES, tmp_path / "never", PROBE, seed=0)
    reference = sklearn.linear_model.LogisticRegression(tol=1e-8, max_iter=5000)
    targets = labels
    if several:
        reference = sklearn.multiclass.OneVsRestClassifier(reference)
        targets = np.array([[name in names for name in CLASSES] for names in labels])
    expected = reference.fit(bags(trained, texts), targets).predict_proba(bags(trained, test))
    np.testing.assert_allclose(trained.predict(test), expected, atol=2e-4)
    assert not (tmp_path / "never").exists()
    with pytest.raises(ValueError, match="a probe is no sequence classifier of transformers"):
        training.export(trained, tmp_path / "hf")


def test_a_probe_of_an_encoder_reads_means_of_states(tmp_path):
    tuning = ClassifierTraining(text_lengths=(4, 16), encoder_size=(16, 1), encoder_words=40)
    texts, labels = made(60, 0)
    start = starts.make_start(tuning, texts, 0)
    probe = dataclasses.replace(tuning, classifier="probe")
    trained = training.train_classifier(texts, labels, CLASSES, tmp_path, probe, seed=0, start=start)
    tokens = np.zeros((60, 16), np.int32)
    for row, text in enumerate(texts):
        ids = [2, *start.tokenizer.encode(text)[:14], 3]
        tokens[row, : len(ids)] = ids
    hidden = jax.jit(start.backbone.model.apply)({"params": start.backbone.params}, tokens, mask=tokens > 0)
    means = np.stack([np.asarray(states)[row > 0].mean(axis=0) for states, row in zip(hidden, tokens, strict=True)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    reference = sklearn.linear_model.LogisticRegression(tol=1e-8, max_iter=5000).fit(means, labels)
    np.testing.assert_allclose(trained.predict(texts), reference.predict_proba(means), atol=1e-3)


def test_figures_of_one_class():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 200)
    labels = [CLASSES[c] if rng.random() < 0.6 else str(rng.choice(CLASSES[:3])) for c in probabilities.argmax(1)]
    said = [CLASSES[c] for c in probabilities.argmax(axis=1)]
    row = figures.score(probabilities, labels, CLASSES, several=False)
    assert row["accuracy"].value == pytest.approx(sklearn.metrics.accuracy_score(labels, said))
    assert row["macro-F1"].value == pytest.approx(sklearn.metrics.f1_score(labels, said, average="macro"))
    labels, said = np.array(labels), np.array(said)
    drawn = [rng.integers(0, 200, 200) for _ in range(2000)]  # texts drawn one by one
    for name, metric in (("accuracy", _accuracy), ("macro-F1", _macro_f1)):
        low, high = np.quantile([metric(labels[rows], said[rows]) for rows in drawn], [0.025, 0.975])
        assert row[name][1:] == pytest.approx((low, high), abs=0.012)


def _accuracy(labels, said):
    return np.mean(labels == said)


def _macro_f1(labels, said):
    there = [c for c in CLASSES if (labels == c).any() or (said == c).any()]
    return np.mean([2 * np.sum((labels == c) & (said == c)) / (np.sum(labels == c) + np.sum(said == c)) for c in there])


def test_figures_of_several_labels():
    rng = np.random.default_rng(0)
    probabilities = rng.random((60, 4)).astype(np.float32)
    labels = [[name for name in CLASSES if rng.random() < 0.4] for _ in range(60)]
    true = np.array([[name in names for name in CLASSES] for names in labels])
    row = figures.score(probabilities, labels, CLASSES, several=True)
    for name in "micro", "macro":
        expected = sklearn.metrics.f1_score(true, probabilities >= 0.5, average=name)
        assert row[f"{name}-F1"].value == pytest.approx(expected)
    some = true.any(axis=1)
    first = np.take_along_axis(true, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert row["P@1"].value == pytest.approx(first[some].mean(), abs=1e-6)
    assert row["labelled"].value == pytest.approx(some.mean(), abs=1e-6)
    ndcg = sklearn.metrics.ndcg_score(true[some], probabilities[some], k=3)
    assert row["NDCG@3"].value == pytest.approx(ndcg, abs=1e-5)
    places = np.argsort(-probabilities, axis=1)
    found = [1 + np.flatnonzero(has[order])[0] for has, order in zip(true, places, strict=True) if has.any()]
    assert row["MRR"].value == pytest.approx(np.mean(1 / np.array(found)), abs=1e-6)  # texts without a label left out
    assert all(figure.low <= figure.value <= figure.high for figure in row.values())


def test_labels_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="expected 2 lists of labels, got 2 labels"):
        figures.score(np.ones((2, 4)), ["a", "b"], CLASSES, several=True)
    with pytest.raises(ValueError, match="expected 3 labels, got 2 labels"):
        figures.score(np.ones((3, 4)), ["a", "b"], CLASSES, several=False)


def test_flags_are_checked():
    fields.check(ClassifierTraining())
    with pytest.raises(ValueError, match="--text-lengths: expected at least 1, got 0 4"):
        fields.check(ClassifierTraining(text_lengths=(0, 4)))
