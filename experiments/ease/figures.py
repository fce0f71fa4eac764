"""The figures of ways to answer on questions with known answers, what a report shows, and predictions as a file."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from experiments.common.llm.reliability import calibration_error, reliability_curve
from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from experiments.ease.methods import MethodResult
from jaxalign.data import Question
from jaxalign.ensemble import Prediction
from jaxalign.io.llm.fitting import LeftOut
from jaxalign.io.report import Reliability, Texts
from jaxalign.numerics import Ratio

SHOWN = 8  # questions of which a report shows every explanation
CURVES = ("ICL", "self-consistency", "SPA")  # methods whose reliability is drawn, and EASE with the first scorers
MOST_CURVES = 6


def table(results: Mapping[str, MethodResult], questions: Sequence[Question]) -> Figures:
    """Returns accuracy with 95 % bootstrap intervals over questions, calibration of the shares, unparsed, cost."""
    return {name: _row(result, questions) for name, result in results.items()}


def _row(result: MethodResult, questions: Sequence[Question]) -> Row:
    """Returns the figures of a method; a question without an answer that could be read is not answered right.

    ``unread scores`` is the share of all questions about options, to answer or to weigh, without scores that could be
    read.
    """
    shares, right, read = _outcomes(result, questions)
    sampled = sum(len(prediction.samples) for prediction in result.predictions)
    row = {
        "unparsed answers": exactly(1 - float(read.mean())),
        "unparsed texts": exactly(sum(prediction.unparsed for prediction in result.predictions) / max(sampled, 1)),
        "unread scores": exactly(result.scored.share),
        "tokens a question": exactly(result.tokens / len(questions)),
    }
    scored = [s for p in result.predictions for s in p.samples if s.probabilities is not None and s.choice is not None]
    if scored:
        # An answer that was written need not be the likeliest one: what soft aggregation sees and votes do not.
        unlikely = sum(sample.choice != int(np.argmax(sample.probabilities)) for sample in scored)
        row["samples off the likeliest answer"] = exactly(unlikely / len(scored))
    accuracy = {"accuracy": estimate(Ratio(right * read, np.ones_like(read)))}
    if not read.any():
        return accuracy | row
    return accuracy | {"ECE": calibration_error(shares, right, read > 0)} | row


def _outcomes(result: MethodResult, questions: Sequence[Question]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the share of each answer, whether it is right, and whether there is one; all ``[N]``, of floats."""
    rows = [
        (max(prediction.shares or (0,)), prediction.choice == question.answer, prediction.choice is not None)
        for prediction, question in zip(result.predictions, questions, strict=True)
    ]
    return tuple(np.array(rows, np.float32).T)


def sections(results: Mapping[str, MethodResult], questions: Sequence[Question]) -> list:
    """Draws the reliability of the answers' shares, and shows the explanations of the first questions."""
    drawn = [*CURVES, *(name for name in results if name.startswith("EASE, "))][:MOST_CURVES]
    curves = {name: _curve(results[name], questions) for name in drawn}
    weighed = [name for name, result in results.items() if result.predictions[0].scorer]
    name = weighed[-1] if weighed else next(reversed(results))
    shown = [describe(*each) for each in list(zip(questions, results[name].predictions, strict=True))[:SHOWN]]
    caption = (
        f"These are explanations of {name}: each with its weight, the answer that it came with, and the probability of "
        f"each option."
    )
    axes = "share of the answer", "share of questions in which it is right"
    diagonal = "On the dotted diagonal, answers are right as often as their share says."
    return [Reliability("Reliability", {"": curves}, *axes, diagonal), Texts("Explanations", shown, caption)]


def describe(question: Question, prediction: Prediction) -> dict[str, str]:
    """Describes a question with its answer and everything that led to it."""
    answers = {None: "no answer"} | {n: f"answer {option}" for n, option in enumerate(question.options)}
    lines = []
    for sample in prediction.samples:
        weight = "" if sample.weight is None else f"weight {sample.weight:.2f}, "
        chances = ", ".join(f"{p:.2f} {o}" for p, o in zip(sample.probabilities or (), question.options, strict=False))
        order = " ".join(map(str, sample.order))
        said = answers[sample.choice]
        lines.append(f"{weight}{said}: {sample.explanation}\n  ({chances}; demonstrations {order})")
    return {
        "question": question.text,
        "answer": f"The method gives {answers[prediction.choice]}. Right is {answers[question.answer]}.",
        "explanations": "\n".join(lines),
    }


def name_left_out(left_out: LeftOut, questions: Sequence[Question]) -> dict[str, str]:
    """Names the questions that did not fit into the model's context in one step or more, with reasons."""
    asked = {prompt.rpartition("Question: ")[2]: reason for prompt, reason in left_out.reasons.items()}
    return {
        question.id or f"question {number + 1}": reason
        for number, question in enumerate(questions)
        for text, reason in asked.items()
        if text.startswith(f"{question.text}\n")
    }


def predictions(results: Mapping[str, MethodResult], questions: Sequence[Question]) -> Iterator[dict]:
    """Yields a row for each method and question, with all samples; shares are None where nothing could be read."""
    for name, result in results.items():
        for question, prediction in zip(questions, result.predictions, strict=True):
            yield {
                "source": question.source,
                "id": question.id,
                "method": name,
                "options": question.options,
                "answer": question.answer,
                "shares": prediction.shares,
                "choice": prediction.choice,
                "scorer": prediction.scorer,
                "samples": [sample._asdict() for sample in prediction.samples],
            }


def _curve(result: MethodResult, questions: Sequence[Question]) -> tuple[np.ndarray, np.ndarray]:
    shares, right, read = _outcomes(result, questions)
    return reliability_curve(shares[read > 0], right[read > 0])
