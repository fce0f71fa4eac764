import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import metrics

ARTICLE = """# The bridge

The bridge opened in 1932.[1] It is made of steel. It is red [2].

## Traffic
160,000 cars cross the bridge a day. It has a toll.

[1] A book on the bridge.
"""
SOURCES = ["The bridge was opened in 1932.", "The bridge is made of steel; 160,000 cars cross it a day."]


def test_by_hand():
    # Supported: the first, the second and the cars; not its colour, and not the toll.
    found = metrics.faithfulness_metric(
        [ARTICLE, "", ARTICLE], [SOURCES, SOURCES, []], metrics.word_support, threshold=1.0
    )
    np.testing.assert_array_equal(found.numerator, [3, 0, 0])
    np.testing.assert_array_equal(found.denominator, [5, 0, 5])


def test_what_the_support_function_gets():
    calls = []

    def support(claims, sources):
        calls.append((list(claims), [list(each) for each in sources]))
        return jnp.linspace(0, 1, len(claims))

    found = metrics.faithfulness_metric(["# A\nOne [3]. Two.", "Three."], [["x"], ["y", "z"]], support, threshold=0.5)
    assert calls == [(["One.", "Two.", "Three."], [["x"], ["x"], ["y", "z"]])]
    # Supports 0, .5, 1: the threshold itself counts.
    assert found.numerator.tolist() == [1, 1] and found.denominator.tolist() == [2, 1]


def test_along_by_hand():
    # Words 2, 6, 2, 2, so that middles lie at 1, 5, 9, 11 of 12: parts 0, 1, 3, 3 of four.
    article = "A a. B b b b b b. C c. D d."
    supported = {"A a.": 1.0, "B b b b b b.": 0.0, "C c.": 0.0, "D d.": 1.0}
    support = lambda claims, sources: np.array([supported[claim] for claim in claims])  # noqa: E731
    found = metrics.faithfulness_along([article, ""], [["s"], ["s"]], support, threshold=0.5)
    np.testing.assert_array_equal(found.numerator, [[1, 0, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(found.denominator, [[1, 1, 0, 2], [0, 0, 0, 0]])


@pytest.mark.parametrize("parts", [1, 3, 4, 7])
def test_parts_add_up(parts):
    articles = [ARTICLE, "Red. Steel.", "No word of it."]
    given = [SOURCES] * 3
    whole = metrics.faithfulness_metric(articles, given, metrics.word_support, threshold=0.5)
    along = metrics.faithfulness_along(articles, given, metrics.word_support, threshold=0.5, parts=parts)
    assert along.value.shape == (3, parts)
    for part, total in zip(along, whole, strict=True):
        np.testing.assert_array_equal(part.sum(axis=1), total)
    # The end is worse than the beginning.
    assert parts == 1 or along.value[0, 0] > along.value[0, -1]


def test_no_articles():
    assert metrics.faithfulness_metric([], [], metrics.word_support, threshold=0.5).value.shape == (0,)
    assert metrics.faithfulness_along([], [], metrics.word_support, threshold=0.5).value.shape == (0, 4)


# Support functions.


def test_word_support_by_hand():
    claims = ["The bridge opened in 1932.", "The bridge opened in 1933.", "It was so.", "Not red.", "Anything"]
    sources = [SOURCES, SOURCES, SOURCES, ["It is red."], []]
    # bridge opened 1932, all in the first source; no content word; "not" says something.
    np.testing.assert_allclose(metrics.word_support(claims, sources), [1, 2 / 3, 0, 1 / 2, 0])
    # The two sources have two words each, and no single one has all four.
    np.testing.assert_allclose(metrics.word_support(["red steel bridge toll"], [["red steel", "bridge toll"]]), [0.5])
    assert metrics.word_support([], []).shape == (0,)


def test_embedding_support_by_hand():
    vectors = {"x": [2.0, 0.0], "y": [0.0, 1.0], "-x": [-1.0, 0.0], "xy": [3.0, 3.0], "none": [0.0, 0.0]}
    calls = []

    def embed(texts):
        calls.append(list(texts))
        return np.array([vectors[text] for text in texts], np.float32)

    support = metrics.make_embedding_support(embed)
    both = ["y", "xy"]
    found = support(["x", "x", "-x", "x", "none"], [both, ["x"], ["x"], [], both])
    np.testing.assert_allclose(found, [np.sqrt(0.5), 1, 0, 0, 0], atol=1e-7)
    assert calls == [["x", "-x", "none", "y", "xy"]]  # once, without repetition
    assert support([], []).shape == (0,)


def test_a_paraphrase_of_the_source_counts_by_embeddings():
    concepts = ["bridge span", "opened unveiled", "toll"]

    def embed(texts):
        words = [metrics.split_words(text) for text in texts]
        return np.array([[sum(word in group.split() for word in each) for group in concepts] for each in words], float)

    article, sources = "The span was unveiled. It has a toll.", ["The bridge opened."]
    by_words = metrics.faithfulness_metric([article], [sources], metrics.word_support, threshold=0.9)
    by_meaning = metrics.faithfulness_metric([article], [sources], metrics.make_embedding_support(embed), threshold=0.9)
    assert (by_words.value[0], by_meaning.value[0]) == (0, 0.5)


def test_bad_input():
    def judge(support=metrics.word_support, articles=("One. Two.",), sources=(["x"],), **options):
        return metrics.faithfulness_along(articles, sources, support, **{"threshold": 0.5, **options})

    for threshold in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"threshold: expected a support in \(0, 1\]"):
            judge(threshold=threshold)
    with pytest.raises(ValueError, match="parts: expected 1 or more, got 0"):
        judge(parts=0)
    with pytest.raises(ValueError, match="got 1 articles and 2 of sources"):
        judge(sources=(["x"], ["y"]))
    with pytest.raises(TypeError, match=r"strings as sources\[0\], got the single string 'x'"):
        judge(sources=("x",))
    with pytest.raises(ValueError, match=r"each of 2 claims, got shape \(1,\)"):
        judge(lambda claims, sources: np.ones(1))
    with pytest.raises(ValueError, match=r"one number in \[0, 1\] for each of 2 claims.*with \[1\.5\]"):
        judge(lambda claims, sources: np.array([1.5, 1]))
    with pytest.raises(ValueError, match="nan"):
        judge(lambda claims, sources: np.full(2, np.nan))
    with pytest.raises(ValueError, match="got 1 claims and 0 of sources"):
        metrics.word_support(["a"], [])
    with pytest.raises(ValueError, match=r"expected embeddings \[2, D\], one row a text, got shape \(1, 3\)"):
        metrics.make_embedding_support(lambda texts: np.ones((1, 3)))(["a"], [["b"]])
    with pytest.raises(ValueError, match="expected finite embeddings"):
        metrics.make_embedding_support(lambda texts: np.full((2, 3), np.inf))(["a"], [["b"]])
