import re

import numpy as np
import pytest

from jaxalign.taxonomy import count_terms, find_mentions, index_texts, parse_phrases, split_words
from tests.taxonomy.planted import planted_corpus


def test_case_and_marks_part_words_and_do_not_count():
    texts = ['"Gluten-Free" crackers.', "gluten\nfree?", "GLUTEN_FREE", "glutenfree", "gluten-freeze", "a ﬁne CAFÉ’s"]
    counts = count_terms(index_texts(texts), ["gluten_free", "café", "Fine"])
    assert counts.terms == ("café", "fine", "gluten free")
    assert counts.terms_in_texts.toarray().tolist() == [
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 0],
        [0, 0, 0],
        [1, 1, 0],
    ]


def test_terms_do_not_reach_over_the_end_of_a_text():
    index = index_texts(["red hot", "sauce", "", "hot sauce"])
    assert count_terms(index, ["hot sauce"]).terms_in_texts.toarray().ravel().tolist() == [0, 0, 0, 1]


def test_overlapping_and_nested_terms_all_count():
    counts = count_terms(index_texts(["hot sauce hot sauce hot"]), ["hot sauce hot", "sauce", "hot sauce"])
    assert dict(zip(counts.terms, counts.terms_in_texts.toarray()[0].tolist(), strict=True)) == {
        "hot sauce": 2,
        "hot sauce hot": 2,
        "sauce": 2,
    }


def test_terms_of_the_same_words_are_one_and_their_order_does_not_count():
    index = index_texts(["tea bags and Tea-Bags"])
    one, other = (count_terms(index, terms) for terms in (["tea_bags", "and", "TEA BAGS"], ["tea bags", "And"]))
    assert one.terms == other.terms == ("and", "tea bags")
    assert one.terms_in_texts.toarray().tolist() == other.terms_in_texts.toarray().tolist() == [[1, 2]]


def test_words_are_counted_too():
    index = index_texts(["b a b", "c"])
    assert list(index.vocabulary) == ["b", "a", "c"]
    assert count_terms(index, []).words_in_texts.toarray().tolist() == [[2, 1, 0], [0, 0, 1]]


def test_a_regular_expression_counts_the_same():
    world = planted_corpus(documents=3)
    terms = [term for each in world.terms for term in each] + ["zzz", "zzz yyy"]
    counts = count_terms(index_texts(world.texts), terms)
    plain = [" ".join(split_words(text)) for text in world.texts]
    for column, term in enumerate(counts.terms):
        expected = [len(re.findall(rf"(?<!\S){term}(?!\S)", text)) for text in plain]
        assert counts.terms_in_texts[:, [column]].toarray().ravel().tolist() == expected
    assert counts.terms_in_texts.sum() > 300


def test_mentions_of_a_class():
    index = index_texts(["Hot-sauce is hot", "a cat", "", "cats"])
    mentions = find_mentions(index, [["hot_sauce", "hot"], [], ["Cat", "cat"], ["unheard of"]])
    assert mentions.dtype == bool
    assert mentions.toarray().tolist() == [
        [True, False, False, False],
        [False, False, True, False],
        [False] * 4,
        [False] * 4,
    ]


@pytest.mark.parametrize("texts", [[], ["", "?!"]])
def test_no_words_no_terms(texts):
    counts = count_terms(index_texts(texts), ["tea"])
    assert counts.terms_in_texts.shape == (len(texts), 1) and counts.terms_in_texts.nnz == 0
    assert find_mentions(index_texts(texts), [["tea"]]).shape == (len(texts), 1)


def test_a_term_without_a_word_is_an_error():
    with pytest.raises(ValueError, match="'_!_'; take it out"):
        count_terms(index_texts(["tea"]), ["tea", "_!_"])


def test_miner_finds_the_planted_phrases():
    from jaxalign.taxonomy import mine_terms

    world = planted_corpus()
    mined = mine_terms(world.texts)
    assert list(mined) == sorted(set(mined))
    planted = [term for each in world.terms for term in each]
    assert np.mean([term in mined for term in planted]) > 0.95
    phrases = [term for term in mined if " " in term]
    assert np.mean([term in planted for term in phrases]) > 0.9


def test_phrases_of_a_file():
    text = "0.95\tzinc oxide\n 0.31\tthe health\r\n0.4\tvitamins\n\n  hot sauce \n0.5\tTea Bags"
    assert parse_phrases(text) == ("zinc oxide", "vitamins", "hot sauce", "Tea Bags")
    assert parse_phrases(text, min_score=0.3)[1] == "the health"
    with pytest.raises(ValueError, match=r"line 2: .* got 'high.*tea bags'; take the line out"):
        parse_phrases("tea\nhigh\ttea bags")
