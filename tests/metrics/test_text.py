import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet
import pytest
from rouge_score.rouge_scorer import RougeScorer

from jaxalign import metrics


def values(scores):
    return {name: [float(part.value[0]) for part in score] for name, score in scores.items()}


def test_rouge_by_hand():
    # Words a b c d against a c b: three shared; bigrams ab bc cd against ac cb: none; longest common: a b or a c.
    ours = values(metrics.rouge(["a b c d"], ["A, c b."]))
    np.testing.assert_allclose(ours["rouge1"], [3 / 4, 1, 6 / 7], rtol=1e-6)
    np.testing.assert_allclose(ours["rouge2"], 0)
    np.testing.assert_allclose(ours["rougeL"], [2 / 4, 2 / 3, 4 / 7], rtol=1e-6)
    np.testing.assert_allclose(ours["rougeLsum"], ours["rougeL"])


def test_sentences_count_in_rouge_lsum_only():
    # As one sequence the sentences are the wrong way round, and only two words are in common order; sentence by
    # sentence all four are.
    ours = values(metrics.rouge(["Dogs bark. Cats sleep."], ["Cats sleep. Dogs bark."]))
    np.testing.assert_allclose(ours["rougeL"], 0.5)
    np.testing.assert_allclose(ours["rougeLsum"], 1.0)
    assert ours == values(metrics.rouge(["Dogs bark.\nCats sleep."], ["Cats sleep.\n\nDogs bark."]))


def test_stemming():
    texts, references = ["walking cats"], ["walked cat"]
    stemmed, exact = (
        metrics.rouge(texts, references, types=["rouge1"], use_stemmer=stem)["rouge1"].f1.value
        for stem in (True, False)
    )
    # Words of three letters or fewer are left as they are, and "cats" has four.
    assert (stemmed[0], exact[0]) == (1, 0)


def test_texts_without_words_score_zero():
    texts, references = ["", "word", "", "猫が寝る", " \n "], ["word", "", "", "猫が寝る", "word"]
    for score in metrics.rouge(texts, references).values():
        for part in score:
            np.testing.assert_array_equal(part.value, np.zeros(5))
            np.testing.assert_array_equal(part.denominator, np.ones(5))


def test_no_texts():
    scores = metrics.rouge([], [])
    assert scores["rougeL"].f1.value.shape == (0,)
    assert jax.tree.map(jnp.sum, scores)["rougeL"].f1.value == 0


def test_equals_the_library_on_real_texts(shared_data):
    rows = pyarrow.parquet.read_table(shared_data / "llmbar" / "pairs.parquet").to_pylist()[:40]
    texts, references = ([row[side] for row in rows] for side in ("output_1", "output_2"))
    ours = metrics.rouge(texts, references)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for index, (text, reference) in enumerate(zip(texts, references, strict=True)):
        for name, expected in scorer.score(reference, text).items():
            np.testing.assert_allclose([part.value[index] for part in ours[name]], expected, rtol=1e-6)
    # Sums are means undivided, and the intervals take the entries as they are.
    total = jax.tree.map(jnp.sum, ours)["rougeLsum"].f1
    np.testing.assert_allclose(total.value, np.mean(ours["rougeLsum"].f1.value), rtol=1e-6)
    low, high = metrics.bootstrap_interval(jax.random.key(0), ours["rougeLsum"].f1, num_resamples=200)
    assert low < total.value < high


# Eighteen sentences without a stop, of three words that no other has.
SENTENCES = [f"a{i} b{i} c{i}" for i in range(18)]
# The last eight stand in pairs as before, each the wrong way round; the first ten have other neighbours.
REORDERED = [17, 16, 15, 14, 13, 12, 11, 10, 7, 8, 9, 6, 5, 3, 4, 1, 2, 0]


def lines(order, sentences_a_line):
    sentences = [SENTENCES[i] for i in order]
    parts = (sentences[i : i + sentences_a_line] for i in range(0, len(order), sentences_a_line))
    return "\n".join(" ".join(part) for part in parts)


@pytest.mark.parametrize(
    "sentences_a_line, expected",
    [
        # Each sentence finds itself.
        (1, 1.0),
        # Of a pair that is the wrong way round one sentence is in common order: four of eighteen are lost.
        (2, 14 / 18),
        # In the complete text three of eighteen are in common order: 7 8 9.
        (18, 3 / 18),
    ],
)
def test_the_same_text_reordered(sentences_a_line, expected):
    """ROUGE-Lsum hangs on the line breaks: .78 with them, .17 flat, though the words are the same."""
    text, reference = lines(REORDERED, sentences_a_line), lines(range(18), sentences_a_line)
    assert sorted(text.split()) == sorted(reference.split())
    ours = values(metrics.rouge([text], [reference], types=["rougeLsum"]))["rougeLsum"]
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    theirs = RougeScorer(["rougeLsum"], use_stemmer=True).score(reference, text)["rougeLsum"]
    np.testing.assert_allclose(theirs, expected, rtol=1e-6)


def test_rouge_lsum_equals_the_library_on_real_sentences_reordered(shared_data):
    """With our sentences as lines; a flat text is split here, and not in the library."""
    texts = pyarrow.parquet.read_table(shared_data / "freshwiki" / "articles.parquet")["summary"].to_pylist()[:10]
    sentences = [metrics.split_sentences(text) for text in texts]
    changed = [" ".join(each[::-1][: len(each) // 2 + 1]) for each in sentences]
    ours = metrics.rouge(changed, texts, types=["rougeLsum"])["rougeLsum"]
    scorer = RougeScorer(["rougeLsum"], use_stemmer=True)
    for index, (each, text) in enumerate(zip(sentences, changed, strict=True)):
        split = scorer.score("\n".join(each), "\n".join(metrics.split_sentences(text)))["rougeLsum"]
        flat = scorer.score(" ".join(each), text)["rougeLsum"]
        np.testing.assert_allclose([part.value[index] for part in ours], split, rtol=1e-6)
        assert len(each) < 3 or flat.fmeasure < split.fmeasure


def test_settings_name_what_changes_the_figures():
    with_stemmer, without = metrics.rouge_settings(), metrics.rouge_settings(use_stemmer=False)
    assert "stemmer: Porter" in with_stemmer and "stemmer: none" in without
    assert all("split_sentences" in text and "a-z and 0-9" in text for text in (with_stemmer, without))


@pytest.mark.parametrize(
    "text, paragraphs, sentences",
    [
        (
            "# Life\nBorn. Grew.\nLeft.\n\n\n Died. ",
            ["Born. Grew.\nLeft.", " Died. "],
            ["Born.", "Grew.", "Left.", "Died."],
        ),
        # A heading parts paragraphs without an empty line; a hash without a space is no heading.
        ("One.\n  ### Two ##\nThree.\n#4 hit", ["One.", "Three.\n#4 hit"], ["One.", "Three.", "#4 hit"]),
        ("***\n\n...\n\n- one\n- two", ["- one\n- two"], ["- one", "- two"]),
        ("# Only\n## Headings", [], []),
        (" \n", [], []),
    ],
)
def test_paragraphs_and_their_sentences(text, paragraphs, sentences):
    assert metrics.split_paragraphs(text) == paragraphs
    assert metrics.prose_sentences(text) == sentences


@pytest.mark.parametrize(
    "text, expected",
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Wait... What?! 3 left.", ["Wait...", "What?!", "3 left."]),
        ("He said “go.” (She went.) Both", ["He said “go.”", "(She went.)", "Both"]),
        ("Dr. J. Doe of the U.S. Army, e.g. Fig. 2. End.", ["Dr. J. Doe of the U.S. Army, e.g. Fig. 2.", "End."]),
        ("So am I. We agree, etc. Next.", ["So am I.", "We agree, etc.", "Next."]),
        ("version 3.5 of node.js is out. ok", ["version 3.5 of node.js is out. ok"]),
        ("line one\n\n  line two \r\nthree.", ["line one", "line two", "three."]),
        ("  ", []),
        ("... . A", ["... .", "A"]),
    ],
)
def test_sentences(text, expected):
    assert metrics.split_sentences(text) == expected


def test_sentences_keep_every_word(shared_data):
    rows = pyarrow.parquet.read_table(shared_data / "llmbar" / "pairs.parquet").to_pylist()
    texts = [row["output_1"] for row in rows]
    split = [metrics.split_sentences(text) for text in texts]
    assert [" ".join(sentences).split() for sentences in split] == [text.split() for text in texts]
    assert sum(map(len, split)) > 2 * len(texts)


def test_bad_input():
    with pytest.raises(ValueError, match="1 texts and 2 references"):
        metrics.rouge(["a"], ["a", "b"])
    with pytest.raises(ValueError, match=r"rouge1 to rouge9, rougeL or rougeLsum, got \['rougeX'\]"):
        metrics.rouge(["a"], ["a"], types=["rouge1", "rougeX"])
    with pytest.raises(TypeError, match="as texts, got the single string 'ab'"):
        metrics.rouge("ab", ["a", "b"])


def test_entries_that_are_no_strings():
    # In an interpreter without the shape checks of the tests, as users have it.
    code = "from jaxalign import metrics; metrics.rouge(['a', None], ['a', 'b'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "TypeError: expected strings as texts, got None at index 1" in result.stderr
