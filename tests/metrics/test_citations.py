import jax
import numpy as np
import pytest

from jaxalign import metrics

ARTICLE = """# Bees [7]
Bees fly.[1] They sting [2, 5]. They see [1-3]! A [link](x) and [4](y) are none.

## References
[1] A book. Its second sentence [2].
  [2] Another.
"""


def counts(text, num_sources):
    scores = metrics.citation_metrics([text], [num_sources])
    return [(int(ratio.numerator[0]), int(ratio.denominator[0])) for ratio in scores]


def test_by_hand():
    # Three of four sentences cite; of the numbers 1, 2 5, 1 3 all but the 5 are sources.
    assert counts(ARTICLE, 3) == [(3, 4), (4, 5)]
    assert counts(ARTICLE, 0) == [(3, 4), (0, 5)]


@pytest.mark.parametrize(
    "text, expected",
    [
        # Behind the stop, with or without a space, a mark belongs to the sentence before it.
        ("One. [1] Two.", [(1, 2), (1, 1)]),
        ("One.[1] Two.", [(1, 2), (1, 1)]),
        ('"One!"[1][2] Two.', [(1, 2), (2, 2)]),
        ("One[1]. Two [3].", [(2, 2), (1, 2)]),
        ("None.", [(0, 1), (0, 0)]),
        ("[x] and [] and 1] and [1.", [(0, 1), (0, 0)]),
        # A year, the source 0, and more digits than Python reads.
        (f"In [1999] it was [0] or [{'9' * 5000}].", [(1, 1), (0, 3)]),
        ("", [(0, 0), (0, 0)]),
    ],
)
def test_marks(text, expected):
    assert counts(text, 2) == expected


def test_texts_add_up():
    scores = metrics.citation_metrics([ARTICLE, "One. [1] Two."], [3, 1])
    total = jax.tree.map(lambda column: column.sum(), scores)
    np.testing.assert_allclose((total.citing.value, total.resolving.value), (4 / 6, 5 / 6), rtol=1e-6)
    assert metrics.citation_metrics([], []).citing.value.shape == (0,)


def test_text_without_citations():
    assert metrics.remove_citations("One.[1] Two [2,3].\n [1] Book\n[a] [4](x)") == "One. Two.\n\n[a] [4](x)"


def test_bad_input():
    with pytest.raises(ValueError, match="for each of 1 texts, got"):
        metrics.citation_metrics(["a"], [1, 2])
    with pytest.raises(ValueError, match="0 or more, for each of 1 texts, got"):
        metrics.citation_metrics(["a"], [-1])
    with pytest.raises(TypeError, match="as texts, got the single string 'a'"):
        metrics.citation_metrics("a", [1])


def test_degenerate_texts():
    """A hundred thousand stops, spaces or brackets, as a model may repeat itself, take no longer than other texts."""
    texts = ["." * 100_000, "One." + " " * 100_000 + "Two", "[1, " * 25_000, "One" + ". " * 50_000 + "[1]"]
    scores = metrics.citation_metrics(texts, [1] * 4)
    assert scores.resolving.numerator.tolist() == [0, 0, 0, 1]
    assert [metrics.remove_citations(text)[:4] for text in texts] == ["....", "One.", "[1, ", "One."]
