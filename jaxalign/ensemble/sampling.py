"""The steps between a model and an aggregation: draw explanations, score the answers that follow, weigh explanations.

Each step asks about all questions in one call (drawing in one for each shuffle) and gives the samples back with one
more field; see :class:`~jaxalign.ensemble.Sample`. :func:`predict` adds them up.
"""

import itertools
import random
from collections.abc import Sequence
from typing import Literal

from jaxalign.data import Question
from jaxalign.ensemble import prompts
from jaxalign.ensemble.aggregation import AggregateFn
from jaxalign.ensemble.parsing import parse_explained_answer
from jaxalign.ensemble.records import Explained, Prediction, Sample
from jaxalign.ensemble.scorers import Scorer
from jaxalign.prompting import option_probabilities
from jaxalign.prompting.options import NormaliseFn, check_counts
from jaxalign.typing import GenerateFn, ScoreOptionsFn

Samples = tuple[Sample, ...]


def draw_samples(
    generate: GenerateFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    *,
    n: int = 9,
    temperature: float = 0.7,
    shuffle: Literal["once", "each"] = "once",
    max_tokens: int = 256,
    seed: int = 0,
) -> list[Samples]:
    """Draws ``n`` explanations and answers to each question; one at temperature 0 is explain-then-predict.

    Args:
      generate: continues prompts with texts, by a language model.
      shots: the instruction and demonstrations that stand before each question.
      questions: what to answer.
      n: samples of each question, at least 1.
      temperature: of the sampling; 0 is greedy.
      shuffle: demonstrations are put in a random order once for each question, or for each of its samples. The order
        depends on the seed and on the question only.
      max_tokens: the longest explanation with its answer, at least 1.
      seed: of the sampling and of the shuffles.

    Returns:
      The samples of each question, without probabilities and weights.

    Raises:
      ValueError: if ``n`` or ``max_tokens`` is below 1.

    Source: EASE (arXiv 2311.07099): 9 samples at 0.7.
    """
    check_counts(n=n, max_tokens=max_tokens)
    drawn: list[list[Sample]] = [[] for _ in questions]
    options = {"temperature": temperature, "max_tokens": max_tokens, "stop": prompts.STOP}
    # Few demonstrations have few orders: prompts that come again must not get their text again, hence seed + k.
    for k in range(1 if shuffle == "once" else n):
        orders = [_order(shots, question, seed, k) for question in questions]
        asked = [prompts.render_explanation(shots.take(order), q) for q, order in zip(questions, orders, strict=True)]
        texts = generate(asked, n=n if shuffle == "once" else 1, seed=seed + k, **options) if asked else []
        for samples, question, order, each in zip(drawn, questions, orders, texts, strict=True):
            samples.extend(_read(shots, question, order, text) for text in each)
    return [tuple(samples) for samples in drawn]


def score_samples(
    score_options: ScoreOptionsFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    samples: Sequence[Samples],
    *,
    normalise_fn: NormaliseFn = option_probabilities,
) -> list[Samples]:
    """Sets the ``probabilities`` of samples: of all options after the explanation, at temperature 1.

    The prompt is the one that the explanation was drawn with, and the sampled answer is not in it: with it, the
    probabilities would only repeat that answer. A sample without an explanation keeps none, and one whose scores
    could not be read has none.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      shots: the instruction and demonstrations that the samples were drawn with.
      questions: N questions.
      samples: N tuples of samples, from :func:`draw_samples`.
      normalise_fn: makes probabilities of the scores of a prompt's options, or None where they cannot be read.

    Returns:
      The samples with their probabilities.
    """
    flat = [(q, sample) for q, each in zip(questions, samples, strict=True) for sample in each if sample.explanation]
    rendered = [
        prompts.render_explained_answer(shots.take(sample.order), question, sample.explanation)
        for question, sample in flat
    ]
    scores = iter(score_options(rendered, [shots.options(question) for question, _ in flat]) if rendered else [])
    return [
        tuple(s._replace(probabilities=normalise_fn(next(scores))) if s.explanation else s for s in each)
        for each in samples
    ]


def weigh_samples(scorer: Scorer, questions: Sequence[Question], samples: Sequence[Samples]) -> list[Samples]:
    """Sets the ``weight`` of samples: 0 without an explanation, None where the weight could not be read.

    Args:
      scorer: weighs explanations.
      questions: N questions.
      samples: N tuples of samples, from :func:`draw_samples`.

    Returns:
      The samples with their weights.
    """
    groups = [
        [Explained(question, sample.explanation, sample.choice) for sample in each if sample.explanation]
        for question, each in zip(questions, samples, strict=True)
    ]
    weights = iter(itertools.chain.from_iterable(scorer.weigh(groups)))
    return [tuple(s._replace(weight=next(weights) if s.explanation else 0.0) for s in each) for each in samples]


def predict(
    questions: Sequence[Question], samples: Sequence[Samples], aggregate: AggregateFn, *, scorer: str = ""
) -> list[Prediction]:
    """Adds up the samples of each question to a prediction, with all of them as its provenance.

    Args:
      questions: N questions.
      samples: N tuples of samples, with what ``aggregate`` adds up.
      aggregate: makes shares of options from the samples of one question, for instance :func:`~jaxalign.ensemble.ease`.
      scorer: the name of what gave the weights, for reports.

    Returns:
      A prediction for each question.
    """
    return [
        Prediction(aggregate(each, len(question.options)), each, scorer)
        for question, each in zip(questions, samples, strict=True)
    ]


def _order(shots: prompts.FewShot, question: Question, seed: int, k: int) -> tuple[int, ...]:
    count = len(shots.demonstrations)
    return tuple(random.Random(f"{seed} {k} {question.text}").sample(range(count), count))


def _read(shots: prompts.FewShot, question: Question, order: tuple[int, ...], text: str) -> Sample:
    explanation, choice = parse_explained_answer(text, shots.options(question))
    return Sample(text, explanation, choice, order)
