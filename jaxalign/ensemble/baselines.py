"""Single answers to compare an ensemble with: with no explanation, and with one that comes after the answer."""

from collections.abc import Callable, Sequence

from jaxalign.data import Question
from jaxalign.ensemble import prompts
from jaxalign.ensemble.parsing import strip_answer
from jaxalign.ensemble.records import Prediction, Sample
from jaxalign.prompting import final_text, option_probabilities
from jaxalign.prompting.options import NormaliseFn
from jaxalign.typing import GenerateFn, ScoreOptionsFn


def predict_in_context(
    score_options: ScoreOptionsFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    *,
    normalise_fn: NormaliseFn = option_probabilities,
) -> list[Prediction]:
    """Predicts answers by standard in-context learning: probabilities of the options after demonstrations.

    The demonstrations have answers, and no explanations.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      shots: the instruction and demonstrations that stand before each question.
      questions: what to answer.
      normalise_fn: makes probabilities of the scores of a prompt's options, or None where they cannot be read.

    Returns:
      A prediction for each question, without samples.
    """
    return _score(score_options, shots, questions, prompts.render_answer, normalise_fn)


def predict_then_explain(
    score_options: ScoreOptionsFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    *,
    generate: GenerateFn | None = None,
    max_tokens: int = 256,
    normalise_fn: NormaliseFn = option_probabilities,
) -> list[Prediction]:
    """Predicts answers after demonstrations whose answers come before their explanations.

    With ``generate`` each answer that could be read is explained too, which changes nothing about it and costs a text.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      shots: the instruction and demonstrations that stand before each question.
      questions: what to answer.
      generate: continues prompts with texts, by a language model; None asks for no explanations.
      max_tokens: the longest explanation.
      normalise_fn: makes probabilities of the scores of a prompt's options, or None where they cannot be read.

    Returns:
      A prediction for each question, with the explanation as its one sample where one was asked for.
    """
    predictions = _score(score_options, shots, questions, prompts.render_first_answer, normalise_fn)
    if generate is None or not questions:
        return predictions
    answered = [(q, p) for q, p in zip(questions, predictions, strict=True) if p.choice is not None]
    asked = [prompts.render_justification(shots, question, prediction.choice) for question, prediction in answered]
    texts = iter(generate(asked, temperature=0.0, max_tokens=max_tokens, stop=prompts.STOP) if asked else [])
    order = tuple(range(len(shots.demonstrations)))
    return [p if p.choice is None else _explained(p, order, *next(texts)) for p in predictions]


def _explained(prediction: Prediction, order: tuple[int, ...], text: str) -> Prediction:
    sample = Sample(text, strip_answer(final_text(text) or ""), prediction.choice, order, prediction.shares)
    return prediction._replace(samples=(sample,))


def _score(
    score_options: ScoreOptionsFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    render: Callable[[prompts.FewShot, Question], str],
    normalise_fn: NormaliseFn,
) -> list[Prediction]:
    asked = [render(shots, question) for question in questions]
    scores = score_options(asked, [shots.options(question) for question in questions]) if asked else []
    return [Prediction(normalise_fn(each)) for each in scores]
