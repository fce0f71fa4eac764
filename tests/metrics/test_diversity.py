import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.feature_extraction.text

from jaxalign import metrics

WORDS = "a b c d e f g h".split()


def random_texts(seed, size=30):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 7))) for _ in range(size)]


def ngrams(text, n):
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


# Words.


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The CAT, the cat!", ["the", "cat", "the", "cat"]),
        ("don't Don’t dogs' 'quoted'", ["don't", "don't", "dogs", "quoted"]),
        ("snake_case well-known 3.5 12b", ["snake", "case", "well", "known", "3", "5", "12b"]),
        ("Straße STRASSE ﬁne fine", ["strasse", "strasse", "fine", "fine"]),
        # Composed and decomposed.
        ("Zo\u00eb Zoe\u0308", ["zo\u00eb", "zo\u00eb"]),
        # Vowel signs are no letters to Python's \w.
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Привет, мир. שלום", ["привет", "мир", "שלום"]),
        ("猫が寝る。", ["猫が寝る"]),
        (" \n ... 🙂 _ ", []),
    ],
)
def test_words(text, expected):
    assert metrics.split_words(text) == expected


def test_words_are_those_of_scikit_learn_on_plain_text():
    """Its default leaves out words of one letter."""
    text = "Markets fell 3 percent, as a bank's report (of 2004) said: profit is down."
    theirs = sklearn.feature_extraction.text.CountVectorizer().build_analyzer()(text)
    ours = [word for word in metrics.split_words(text.replace("'s", "")) if len(word) > 1]
    assert ours == theirs


# Vocabulary and n-grams.


def test_vocabulary_size_by_hand():
    assert metrics.vocabulary_size(["A b, c.", "b C d"]) == 4
    assert metrics.vocabulary_size(["A b, c.", "b C d"], tokenize=str.split) == 6
    assert metrics.vocabulary_size([]) == metrics.vocabulary_size(["", "..."]) == 0


def test_distinct_n_by_hand():
    texts = ["a b a b", "b a"]
    assert metrics.distinct_n(texts, n=1) == (2.0, 6.0)
    assert metrics.distinct_n(texts, n=2) == (2.0, 4.0)  # ab ba ab, and ba: none across documents
    assert metrics.distinct_n(texts, n=5) == (0.0, 0.0)
    assert metrics.distinct_n(texts, n=5).value == 0


def test_self_repetition_by_hand():
    # The first and the third share "b c"; "x y" twice within one document is no repetition of another; the last has no
    # bigram and does not count.
    texts = ["a b c", "x y x y", "b c d", "e f", "a"]
    assert metrics.self_repetition(texts, n=2) == (2.0, 4.0)
    assert metrics.self_repetition(texts) == (0.0, 1.0)
    assert metrics.self_repetition(["a b c d"] * 3).value == 1
    assert metrics.self_repetition([]).value == 0


def test_inter_sample_ngram_frequency_by_hand():
    # ab is in two documents, bc in all three (twice in the last, which counts once): (2 * 1 + 3 * 2) / (2 + 3).
    texts = ["a b c", "a b c", "b c b c"]
    # cb is in one document: 6 pairs.
    assert metrics.inter_sample_ngram_frequency(texts, n=2) == (8.0, 6.0)
    # Copies: each n-gram is in the N - 1 others. No n-gram shared: 0.
    assert metrics.inter_sample_ngram_frequency(["a b c"] * 5, n=2).value == 4
    assert metrics.inter_sample_ngram_frequency(["a b", "c d"], n=2) == (0.0, 2.0)
    assert metrics.inter_sample_ngram_frequency([""], n=1).value == 0


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_ngrams_equal_brute_force(seed, n):
    texts = random_texts(seed)
    grams = [ngrams(text, n) for text in texts]
    others = [[g for j, other in enumerate(grams) if j != i for g in other] for i in range(len(texts))]
    every = list(itertools.chain(*grams))
    assert metrics.distinct_n(texts, n=n) == (len(set(every)), len(every))
    repeating = [bool(set(mine) & set(rest)) for mine, rest in zip(grams, others, strict=True) if mine]
    assert metrics.self_repetition(texts, n=n) == (sum(repeating), len(repeating))
    documents = [set(mine) for mine in grams]
    pairs = [sum(gram in other for other in documents) - 1 for mine in documents for gram in mine]
    assert metrics.inter_sample_ngram_frequency(texts, n=n) == (sum(pairs), len(pairs))


STATISTICS = {
    "vocabulary": metrics.vocabulary_size,
    "distinct 2": lambda texts: metrics.distinct_n(texts, n=2),
    "self-repetition": lambda texts: metrics.self_repetition(texts, n=2),
    "inter-sample": lambda texts: metrics.inter_sample_ngram_frequency(texts, n=2),
}


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)
class TestTexts:
    def test_order_does_nothing(self, statistic):
        texts = random_texts(4)
        assert statistic(texts[::-1]) == statistic(texts)

    def test_empty_texts_do_nothing(self, statistic):
        texts = random_texts(5)
        assert statistic([*texts, "", " .\n"]) == statistic(texts)

    def test_a_single_string(self, statistic):
        with pytest.raises(TypeError, match="as texts, got the single string 'a b'"):
            statistic("a b")


@pytest.mark.parametrize("n", [0, -1])
def test_ngrams_of_no_word(n):
    for statistic in metrics.distinct_n, metrics.self_repetition, metrics.inter_sample_ngram_frequency:
        with pytest.raises(ValueError, match="n: expected 1 word or more"):
            statistic(["a b"], n=n)


# Equal counts.


def test_expected_vocabulary_at_equal_counts():
    """Rarefaction has it exactly: a word of d documents is missing from C(N - d, n) of the C(N, n) subsamples."""
    texts, count = random_texts(6, 40), 5
    documents = [sum(word in text.split() for text in texts) for word in WORDS]
    expected = sum(1 - math.comb(40 - d, count) / math.comb(40, count) for d in documents)
    found = metrics.at_equal_counts(metrics.vocabulary_size, texts, count=count, num_subsamples=2000)
    assert abs(found.mean - expected) < 4 * found.deviation / math.sqrt(2000)
    assert 0 < found.deviation < 2 and (found.count, found.num_subsamples) == (5, 2000)


def test_more_documents_of_the_same_source_are_not_more_diverse_at_equal_counts():
    few, many = random_texts(7, 20), random_texts(8, 400)
    frequency = lambda texts: metrics.inter_sample_ngram_frequency(texts, n=1).value  # noqa: E731
    assert frequency(many) > 10 * frequency(few)
    at_20 = metrics.at_equal_counts(frequency, many, count=20)
    assert abs(at_20.mean - float(frequency(few))) < 3 * at_20.deviation


def test_all_documents_are_one_subsample_in_their_order():
    seen = []

    def first(texts, rows):
        seen.append((texts, rows.tolist()))
        return rows[0]

    result = metrics.at_equal_counts(first, ["x", "y", "z"], np.arange(3), count=3)
    assert seen == [(["x", "y", "z"], [0, 1, 2])]
    assert result == (0.0, 0.0, 3, 1)


def test_columns_are_drawn_together_without_replacement():
    def check(texts, rows, labels):
        assert texts == [str(row) for row in rows.tolist()]
        assert rows.tolist() == labels.tolist() == sorted(set(rows.tolist()))
        assert isinstance(labels, jax.Array)
        return jnp.float32(len(rows))

    columns = [str(row) for row in range(9)], np.arange(9), jnp.arange(9)
    assert metrics.at_equal_counts(check, *columns, count=4, num_subsamples=3) == (4.0, 0.0, 4, 3)


def test_the_seed_decides():
    def draw(seed):
        return metrics.at_equal_counts(np.mean, np.arange(100.0), count=3, num_subsamples=5, seed=seed)

    assert draw(0) == draw(0) != draw(1)


def test_subsamples_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="count: expected 1 to 2, the number of documents, got 3"):
        metrics.at_equal_counts(len, ["a", "b"], count=3)
    with pytest.raises(ValueError, match="expected 1 to 2"):
        metrics.at_equal_counts(len, ["a", "b"], count=0)
    with pytest.raises(ValueError, match="num_subsamples: expected 1 or more, got 0"):
        metrics.at_equal_counts(len, ["a", "b"], count=1, num_subsamples=0)
    with pytest.raises(ValueError, match=r"all of one length, got lengths \[2, 1\]"):
        metrics.at_equal_counts(len, ["a", "b"], ["a"], count=1)
    with pytest.raises(ValueError, match="expected one column or more"):
        metrics.at_equal_counts(len, count=1)
