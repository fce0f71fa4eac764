import numpy as np
import pytest

from jaxalign import metrics


def pairs(ratio):
    return list(zip(np.asarray(ratio.numerator).tolist(), np.asarray(ratio.denominator).tolist(), strict=True))


def test_repetition_by_hand():
    # abca, bcab, cabc, abca again; no run of four; too short; nothing.
    texts = ["a b c a b c a", "a b c d e", "a b c", ""]
    assert pairs(metrics.repetition_metric(texts)) == [(1, 4), (0, 2), (0, 0), (0, 0)]
    # What the texts share with each other does not count.
    assert pairs(metrics.repetition_metric(["a b", "a b"], n=2)) == [(0, 1), (0, 1)]
    assert metrics.repetition_metric([]).value.shape == (0,)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_repetition_equals_brute_force(n):
    words = np.random.default_rng(n).choice(list("abc"), 40).tolist()
    grams = [words[i : i + n] for i in range(len(words) - n + 1)]
    before = sum(gram in grams[:i] for i, gram in enumerate(grams))
    assert before > 0
    assert pairs(metrics.repetition_metric([" ".join(words)], n=n)) == [(before, len(grams))]


def test_repetition_of_characters():
    text = "猫睡觉猫睡觉"  # one run of letters to the default
    assert pairs(metrics.repetition_metric([text], n=3)) == [(0, 0)]
    assert pairs(metrics.repetition_metric([text], n=3, tokenize=metrics.split_units)) == [(1, 4)]


def test_repeated_sentences_by_hand():
    text = "# Bees\nBees fly. Bees fly [1]. They sting.\n\n# Bees\nBees FLY! They see."
    assert pairs(metrics.repeated_sentences_metric([text, "Once.", "# Only"])) == [(2, 5), (0, 1), (0, 0)]
    assert metrics.repeated_sentences_metric([]).value.shape == (0,)


def test_bad_input():
    with pytest.raises(ValueError, match="n: expected 1 word or more, got 0"):
        metrics.repetition_metric(["a"], n=0)
    for metric in metrics.repetition_metric, metrics.repeated_sentences_metric:
        with pytest.raises(TypeError, match="as texts, got the single string"):
            metric("a b")
