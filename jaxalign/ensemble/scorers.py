"""How good an explanation is: what weighs the samples of an ensemble.

A :class:`Scorer` has a name, which predictions carry, and weighs the explanations of many questions at once. Those that
ask a model show it an explanation and take its probability of Yes; :mod:`jaxalign.ensemble.bootstrap` finds examples to
show before. Others look at words, or at what another model says.

Source: EASE (arXiv 2311.07099), section 3 and its comparison of scorers. What the two templates ask is the paper's;
their exact words are ours.
"""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign.ensemble.parsing import mask_labels
from jaxalign.ensemble.prompts import BY_TEXT, AnswerStyle, render_question
from jaxalign.ensemble.records import Explained
from jaxalign.prompting import option_probabilities
from jaxalign.prompting.options import check_options
from jaxalign.typing import OptionScore, ScoreOptionsFn

Groups = Sequence[Sequence[Explained]]
Weights = list[list[float | None]]
WeighFn = Callable[[Groups], Weights]
"""``weigh(groups)``: a weight of 0 or more for each explanation, in groups of one question each; None if unread."""
EntailFn = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""``entail(premises, hypotheses)``: the probability that each premise makes its hypothesis true, of an NLI model."""

YES_NO = (" Yes", " No")
TRUE_FALSE = (" True", " False")
NONSENSE = (" Foo", " Jaa")
"""The verbalizers of a scorer, good and bad; the last two are ablations."""


class Scorer(NamedTuple):
    """What weighs explanations.

    Attributes:
      name: what predictions and reports call it.
      weigh: ``weigh(groups)`` returns a weight of 0 or more for each explanation, in groups of one question each; None
        where it could not be read.
    """

    name: str
    weigh: WeighFn


class Template(NamedTuple):
    """What a scorer asks about an explanation.

    Attributes:
      question: the sentence that it asks.
      shows_answer: whether it shows the answer that the explanation led to.
    """

    question: str
    shows_answer: bool


HELPFUL = Template("Can this explanation be used to help the model answer the question?", shows_answer=False)
COHERENT = Template(
    "Is this explanation coherent, is it informative for the question, and is it consistent with the predicted answer?",
    shows_answer=True,
)


class Shot(NamedTuple):
    """An explanation of known quality.

    Attributes:
      explained: the question with its explanation.
      good: whether it is a good one.
    """

    explained: Explained
    good: bool


def render_scorer(
    explained: Explained,
    shots: Sequence[Shot] = (),
    *,
    template: Template = HELPFUL,
    verbalizer: tuple[str, str] = YES_NO,
    style: AnswerStyle = BY_TEXT,
) -> str:
    """Returns the prompt that asks whether an explanation is good, after examples.

    The answer is one of the verbalizer's two.

    Args:
      explained: the question and the explanation to ask about.
      shots: examples of known quality that are shown before.
      template: what is asked, and whether the explanation's answer is shown.
      verbalizer: the answers that stand for good and bad.
      style: how the question's options are listed.
    """
    shown = [f"{_render(s.explained, template, style)}{verbalizer[0 if s.good else 1]}" for s in shots]
    return "\n\n".join([*shown, _render(explained, template, style)])


def normalised_weight(scores: Sequence[OptionScore]) -> float | None:
    """Returns the probability of the good answer, given that it is one of the two; None if scores could not be read.

    Args:
      scores: of the good and of the bad answer: log-probabilities in nats, and tokens.
    """
    shares = option_probabilities(scores)
    return shares and shares[0]


def raw_weight(scores: Sequence[OptionScore]) -> float | None:
    """Returns the probability of the good answer among all texts; None if the scores could not be read.

    The paper does not say which of the two, this or :func:`normalised_weight`, it takes.

    Args:
      scores: of the good and of the bad answer: log-probabilities in nats, and tokens.
    """
    return None if option_probabilities(scores) is None else math.exp(scores[0].logp)


def make_scorer(
    score_options: ScoreOptionsFn,
    shots: Sequence[Shot] = (),
    *,
    template: Template = HELPFUL,
    verbalizer: tuple[str, str] = YES_NO,
    style: AnswerStyle = BY_TEXT,
    weight_fn: Callable[[Sequence[OptionScore]], float | None] = normalised_weight,
    name: str = "",
) -> Scorer:
    """Makes a scorer that asks a model about each explanation, and takes its probability of the good answer.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      shots: examples of known quality that are shown before; without any it is the zero-shot scorer.
      template: what is asked, and whether the explanation's answer is shown: ``HELPFUL`` or ``COHERENT``.
      verbalizer: the answers that stand for good and bad, for instance ``YES_NO``.
      style: how the question's options are listed.
      weight_fn: makes a weight of the scores of both answers, :func:`normalised_weight` or :func:`raw_weight`.
      name: what predictions call it; "" for the number of its shots.

    Raises:
      ValueError: if an answer of the verbalizer begins with the other one.

    Source: EASE (arXiv 2311.07099), section 3.
    """
    check_options(verbalizer)

    def weigh(groups: Groups) -> Weights:
        asked = [
            render_scorer(each, shots, template=template, verbalizer=verbalizer, style=style)
            for each in itertools.chain.from_iterable(groups)
        ]
        return _regroup(map(weight_fn, _score(score_options, asked, verbalizer)), groups)

    return Scorer(name or (f"{len(shots)} shots" if shots else "zero-shot"), weigh)


def make_pairwise_scorer(score_options: ScoreOptionsFn, *, style: AnswerStyle = BY_TEXT) -> Scorer:
    """Makes a scorer that takes the mean chance that an explanation is preferred to the others of its question.

    Both orders are asked for. An explanation without others weighs one half, and one about which no comparison could be
    read has no weight. ``n`` samples take ``n (n - 1)`` questions.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      style: how the question's options are listed.
    """

    def weigh(groups: Groups) -> Weights:
        matches = [(g, *pair) for g, each in enumerate(groups) for pair in itertools.permutations(range(len(each)), 2)]
        asked = [_render_match(groups[g][a], groups[g][b], style) for g, a, b in matches]
        won: list[list[list[float]]] = [[[] for _ in each] for each in groups]
        for (g, a, b), scores in zip(matches, _score(score_options, asked, (" 1", " 2")), strict=True):
            if shares := option_probabilities(scores):
                won[g][a].append(shares[0])
                won[g][b].append(shares[1])
        alone = [0.5 if len(each) == 1 else None for each in groups]
        return [
            [sum(chances) / len(chances) if chances else lacking for chances in each]
            for each, lacking in zip(won, alone, strict=True)
        ]

    return Scorer("pairwise", weigh)


def make_entailment_scorer(entail_fn: EntailFn) -> Scorer:
    """Makes a scorer that says how surely a model of entailment concludes the sampled answer from the explanation.

    An explanation without an answer weighs 0. A chance that is no number is no weight.

    Args:
      entail_fn: ``entail_fn(premises, hypotheses)`` returns the probability that each premise makes its hypothesis
        true.
    """

    def weigh(groups: Groups) -> Weights:
        answered = [each for group in groups for each in group if each.answer is not None]
        hypotheses = [f"{each.question.text} {each.question.options[each.answer]}" for each in answered]
        chances = iter(entail_fn([each.explanation for each in answered], hypotheses) if answered else ())
        return [[0.0 if each.answer is None else _finite(next(chances)) for each in group] for group in groups]

    return Scorer("entailment", weigh)


def weigh_by_overlap(groups: Groups) -> Weights:
    """Returns the share of an explanation's distinct words that the question or its options have too, in [0, 1].

    Args:
      groups: explanations, in groups of one question each.
    """
    return [[_overlap(each) for each in group] for group in groups]


LEXICAL = Scorer("lexical overlap", weigh_by_overlap)


def with_masked_labels(scorer: Scorer) -> Scorer:
    """Makes a scorer that does not see the options within explanations, nor the answer; see :func:`mask_labels`.

    Args:
      scorer: what weighs the masked explanations.
    """

    def weigh(groups: Groups) -> Weights:
        return scorer.weigh([[mask_labels(each) for each in group] for group in groups])

    return Scorer(f"{scorer.name}, labels masked", weigh)


def _render(explained: Explained, template: Template, style: AnswerStyle) -> str:
    shown = f"{render_question(explained.question, style)}\nExplanation: {explained.explanation}"
    if template.shows_answer:
        answer = explained.answer
        shown += f"\nPredicted answer:{' unknown' if answer is None else style.options(explained.question)[answer]}"
    return f"{shown}\n{template.question}\nGood explanation:"


def _render_match(first: Explained, second: Explained, style: AnswerStyle) -> str:
    return (
        f"{render_question(first.question, style)}\nExplanation 1: {first.explanation}\n"
        f"Explanation 2: {second.explanation}\nWhich explanation helps more?\nBetter explanation:"
    )


def _score(score_options: ScoreOptionsFn, asked: Sequence[str], options: Sequence[str]) -> list[list[OptionScore]]:
    return score_options(asked, [options] * len(asked)) if asked else []


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _regroup(values, groups: Groups) -> Weights:
    values = iter(values)
    return [list(itertools.islice(values, len(group))) for group in groups]


def _overlap(explained: Explained) -> float:
    words = _words(explained.explanation)
    known = _words(" ".join([explained.question.text, *explained.question.options]))
    return len(words & known) / len(words) if words else 0.0


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
