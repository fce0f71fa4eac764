"""Entailment by embeddings and by a model, and the scores that are made of it, by hand."""

import math

import numpy as np
import pytest

from jaxalign import planning
from jaxalign.planning import ENTAILMENT_OPTIONS, Fact, Heading, PlannedArticle, Shape
from jaxalign.typing import OptionScore
from tests.planning.teachers import embed_words, overlap

RECORD = PlannedArticle("x", "a b c d e f g h", summary="a b. c d.", key_information=(Fact("a b c x"),))


def test_support_of_sentences_by_hand():
    entail = planning.make_embedding_entailment(embed_words, midpoint=0.5, width=0.1)

    def support(cosine):
        return 1 / (1 + math.exp((0.5 - cosine) / 0.1))

    premise = "# a b\n- c d\nUnlike either."
    pairs = {
        "a b": 1,  # a heading is a sentence, without its mark
        "a x": 1 / 2,
        "a c": 1 / math.sqrt(2),  # (a + c)(a + b + c + d) / (sqrt(2) sqrt(4)): two sentences say more than one, 1/2
        "e f": 0,
    }
    found = entail([premise] * 5, [*pairs, "a b\ne f"])
    np.testing.assert_allclose(found[:4], [support(cosine) for cosine in pairs.values()])
    np.testing.assert_allclose(found[4], (support(1) + support(0)) / 2)


def test_texts_without_sentences():
    entail = planning.make_embedding_entailment(embed_words)
    nothing, unsupported = entail(["a", " "], [" ", "a"])
    assert math.isnan(nothing) and unsupported < 1e-6
    assert entail([], []).shape == (0,)
    with pytest.raises(ValueError, match="width"):
        planning.make_embedding_entailment(embed_words, width=0.0)


def test_a_model_is_asked():
    asked = []

    def score_options(prompts, options):
        asked.extend(zip(prompts, options, strict=True))
        yes = [math.log(0.3), math.nan]
        return [[OptionScore(logp, 1), OptionScore(math.log(0.1), 1)] for logp in yes]

    entail = planning.make_model_entailment(score_options)
    chances = entail(["a", "b"], ["c", "d"])
    np.testing.assert_allclose(chances, [0.75, math.nan])
    prompts = [planning.render_entailment("a", "c"), planning.render_entailment("b", "d")]
    assert asked == [(prompt, ENTAILMENT_OPTIONS) for prompt in prompts]
    assert entail([], []).shape == (0,)


def test_scores_by_hand():
    shape = Shape(summary=(1000, 1000), key_information=(100, 200))
    (scores,) = planning.score_step([RECORD], "summary", entail=overlap, shape=shape)
    # 4 of 8 words are half of the article's; all words of the step are in the article, and half of the other way.
    assert scores == pytest.approx((math.sin(math.pi / 4), 1, math.sqrt(1 / 2)))
    assert scores.total == pytest.approx(1 / 2)
    assert scores.by_name("summary") == {
        "summary": scores.total,
        "summary length": scores.length,
        "summary structure": scores.structure,
        "summary coherence": scores.coherence,
    }


def test_plans_are_scored_step_by_step():
    other = PlannedArticle("y", "# a\nb", outline=(Heading("a"), Heading("b")))
    first, second = planning.score_plans([RECORD, other], entail=overlap)
    assert set(first) == {"summary", "key_information"} and set(second) == {"outline"}
    assert first["key_information"] == planning.score_step([RECORD], "key_information", entail=overlap)[0]
    assert first["key_information"].coherence == pytest.approx(math.sqrt(3 / 4 * 3 / 8))
    assert planning.score_plans([], entail=overlap) == ()
    (only,) = planning.score_plans([RECORD], entail=overlap, parts=["outline"])
    assert only == {}


def test_unread_entailment_stays_visible():
    (scores,) = planning.score_step([RECORD], "summary", entail=lambda p, h: np.array([1.0, math.nan]))
    assert math.isnan(scores.coherence) and math.isnan(scores.total) and scores.structure == 1


@pytest.mark.parametrize("found", [[1.0], [1.0, 1.1], [-0.1, 1.0]])
def test_refuses_what_is_no_share(found):
    with pytest.raises(ValueError, match=r"expected 2 numbers in \[0, 1\]"):
        planning.score_step([RECORD], "summary", entail=lambda p, h: np.array(found))
