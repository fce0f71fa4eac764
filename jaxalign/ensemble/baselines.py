"""Single answers to compare an ensemble with: with no explanation, and with one that comes after the answer."""

from collections.abc import Callable, Sequence

from jaxalign.data import Question, option_probabilities
from jaxalign.data.answers import NormaliseFn
from jaxalign.ensemble import prompts
from jaxalign.ensemble.parsing import strip_answer
from jaxalign.ensemble.records import Prediction, Sample
from jaxalign.typing import GenerateFn, ScoreOptionsFn


def predict_in_context(
    score_options: ScoreOptionsFn,
    shots: prompts.FewShot,
    questions: Sequence[Question],
    *,
    normalise_fn: NormaliseFn = option_probabilities,
) -> list[Prediction]:
    """Standard in-context learning: the probabilities of the options after demonstrations without explanations."""
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
    """The probabilities of the options after demonstrations whose answers come before their explanations.

    With ``generate`` the answer is explained too, which changes nothing about it and costs a text for each question.
    """
    predictions = _score(score_options, shots, questions, prompts.render_first_answer, normalise_fn)
    if generate is None or not questions:
        return predictions
    asked = [prompts.render_justification(shots, q, p.choice) for q, p in zip(questions, predictions, strict=True)]
    texts = generate(asked, temperature=0.0, max_tokens=max_tokens, stop=prompts.STOP)
    order = tuple(range(len(shots.demonstrations)))
    return [
        prediction._replace(samples=(Sample(text, strip_answer(text), prediction.choice, order, prediction.shares),))
        for prediction, (text,) in zip(predictions, texts, strict=True)
    ]


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
