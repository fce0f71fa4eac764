import numpy as np
import pyarrow.parquet
import pytest

from jaxalign import metrics


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The cat, the cat!", 4),
        ("Don’t: 12 cafés — 3.5", 5),  # don't 12 cafés 3 5
        ("猫有九条命。", 5),
        ("用iPhone写200字，《好》", 6),  # 用 iphone 写 200 字 好
        ("ねこが 寝る 々", 6),
        ("고양이가 잔다", 2),  # Korean has spaces
        ("\U00020000\U0002a6dd", 2),
        (" \n # ** ", 0),
    ],
)
def test_words(text, expected):
    assert metrics.count_words(text) == len(metrics.split_units(text)) == expected


def test_words_of_english_are_those_of_split_words():
    text = "Markets fell 3 percent, as a bank's report (of 2004) said."
    assert metrics.split_units(text) == metrics.split_words(text)


def test_paragraphs():
    assert metrics.count_paragraphs("# Life\n\nOne.\nStill one.\n\n\nTwo.\n## Work\nThree.\n\n---\n") == 3
    assert metrics.count_paragraphs("") == 0


def test_ratio():
    found = metrics.length_ratio_metric([50, 300, 0], np.array([100, 100, 10]))
    np.testing.assert_allclose(found.value, [0.5, 3, 0])
    np.testing.assert_allclose(np.sum(found.numerator) / np.sum(found.denominator), 350 / 210)


@pytest.mark.parametrize(
    "length, requested, expected",
    [
        (1000, 1000, 1),
        (2000, 1000, 2 / 3),  # 1 - (2 - 1) / 3
        (4000, 1000, 0),
        (9000, 1000, 0),
        (500, 1000, 1 / 2),  # 1 - (2 - 1) / 2
        (800, 1000, 1 - 0.25 / 2),
        (1000, 3000, 0),
        (100, 1000, 0),
        (0, 1000, 0),
    ],
)
def test_score_by_hand(length, requested, expected):
    found = metrics.length_score_metric([length], [requested])
    np.testing.assert_allclose(found.value, [expected], atol=1e-7)
    assert found.denominator.tolist() == [1]


def test_score_falls_on_both_sides():
    lengths = np.linspace(340, 3990, 200)
    scores = np.asarray(metrics.length_score_metric(lengths, np.full(200, 1000.0)).value)
    rising = np.diff(scores) > 0
    assert rising[lengths[1:] <= 1000].all() and not rising[lengths[:-1] >= 1000].any()


def test_requests_of_the_benchmark(shared_data):
    """Its prompts ask for words in English and characters in Chinese; the count knows both."""
    rows = pyarrow.parquet.read_table(shared_data / "longbench_write" / "prompts.parquet").to_pylist()
    for row in rows:
        counted = metrics.count_words(row["prompt"])
        if row["language"] == "zh":
            assert counted > len(metrics.split_words(row["prompt"]))
        else:
            assert counted == len(metrics.split_words(row["prompt"]))
    assert (
        metrics.length_score_metric([row["length"] for row in rows], [row["length"] for row in rows]).value.min() == 1
    )


def test_no_texts():
    assert metrics.length_ratio_metric([], []).value.shape == metrics.length_score_metric([], []).value.shape == (0,)


def test_bad_input():
    for metric in metrics.length_ratio_metric, metrics.length_score_metric:
        with pytest.raises(ValueError, match=r"one requested length per length, \[N\] each, got \(2,\) and \(1,\)"):
            metric([1, 2], [1])
        with pytest.raises(ValueError, match="requested lengths above 0.*requested from 0.0 to 1.0"):
            metric([1, 2], [0, 1])
        with pytest.raises(ValueError, match="lengths of 0 or more.*got lengths from -1.0"):
            metric([-1], [1])
