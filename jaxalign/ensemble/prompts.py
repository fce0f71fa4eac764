"""The prompts of an ensemble: demonstrations, a question, and where the model goes on.

A prompt is blocks with a blank line between them: the instruction, each demonstration, the question. An option begins
with the blank after ``Answer:``, so that prompt and option together are the text that a demonstration has.

Source: EASE (arXiv 2311.07099); the wording is ours, save for what the scorers' templates ask, see
:mod:`jaxalign.ensemble.scorers`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jaxalign.data import Question
from jaxalign.prompting.options import check_options

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STOP = ("\n\n", "\nQuestion:")
"""Texts at which a model has answered and would make up the next question."""


class AnswerStyle(NamedTuple):
    """How the options of a question are listed, and how an answer names one of them.

    Attributes:
      render: writes the list of a question's options.
      options: returns the answers to a question, as continuations of ``Answer:``, in the order of its options.
    """

    render: Callable[[Question], str]
    options: Callable[[Question], tuple[str, ...]]


BY_TEXT = AnswerStyle(
    lambda question: f"Options: {'; '.join(question.options)}",
    lambda question: tuple(f" {option}" for option in question.options),
)
BY_LETTER = AnswerStyle(
    lambda question: "\n".join(f"{letter}) {o}" for letter, o in zip(LETTERS, question.options, strict=False)),
    lambda question: tuple(f" {letter}" for letter in LETTERS[: len(question.options)]),
)


@dataclasses.dataclass(frozen=True)
class FewShot:
    """What stands before a question: an instruction, and demonstrations with answers and explanations.

    Attributes:
      demonstrations: questions with answers, and with explanations where these are shown.
      instruction: the first block of a prompt.
      style: how options are listed and named, ``BY_TEXT`` or ``BY_LETTER``.
    """

    demonstrations: tuple[Question, ...]
    instruction: str = "Answer each question with one of its options."
    style: AnswerStyle = BY_TEXT

    def take(self, order: Iterable[int]) -> "FewShot":
        """Returns the same with some of the demonstrations, by place, in this order."""
        return dataclasses.replace(self, demonstrations=tuple(self.demonstrations[n] for n in order))

    def options(self, question: Question) -> tuple[str, ...]:
        """The answers to a question, as continuations of ``Answer:``.

        Raises:
          ValueError: if one begins with another one, see :func:`~jaxalign.prompting.options.check_options`, or there
            are more than letters.
        """
        options = self.style.options(question)
        if len(options) != len(question.options):
            raise ValueError(f"expected at most {len(options)} options, got {len(question.options)}; answer by text")
        check_options(options)
        return options


def render_answer(shots: FewShot, question: Question) -> str:
    """Returns the prompt that asks for an answer, after demonstrations without explanations (in-context learning).

    Args:
      shots: the instruction and demonstrations that stand before the question.
      question: what to ask.

    Raises:
      ValueError: if a demonstration has no answer.
    """
    return _render(shots, question, lambda shown: _answer(shots, shown), "Answer:")


def render_explanation(shots: FewShot, question: Question) -> str:
    """Returns the prompt that asks for an explanation and then an answer.

    :func:`~jaxalign.ensemble.parse_explained_answer` reads both.

    Args:
      shots: the instruction and demonstrations that stand before the question.
      question: what to ask.

    Raises:
      ValueError: if a demonstration has no answer or no explanation.
    """
    return _render(shots, question, lambda shown: f"{_explanation(shown)}\n{_answer(shots, shown)}", "Explanation:")


def render_explained_answer(shots: FewShot, question: Question, explanation: str) -> str:
    """Returns the prompt that asks for the answer alone, behind an explanation that is given.

    Args:
      shots: the instruction and demonstrations that stand before the question.
      question: what to ask.
      explanation: what stands behind ``Explanation:``.

    Raises:
      ValueError: if a demonstration has no answer or no explanation.
    """
    return f"{render_explanation(shots, question)} {_one_line(explanation)}\nAnswer:"


def render_first_answer(shots: FewShot, question: Question) -> str:
    """Returns the prompt that asks for an answer before its explanation, as the demonstrations have it.

    It is the first step of predict-then-explain.

    Args:
      shots: the instruction and demonstrations that stand before the question.
      question: what to ask.

    Raises:
      ValueError: if a demonstration has no answer or no explanation.
    """
    return _render(shots, question, lambda shown: f"{_answer(shots, shown)}\n{_explanation(shown)}", "Answer:")


def render_justification(shots: FewShot, question: Question, answer: int) -> str:
    """Returns the prompt that asks for an explanation of an answer that is given, right or wrong.

    Args:
      shots: the instruction and demonstrations that stand before the question.
      question: what to ask.
      answer: the place of the answer among the question's options.

    Raises:
      ValueError: if a demonstration has no answer or no explanation.
    """
    return f"{render_first_answer(shots, question)}{shots.options(question)[answer]}\nExplanation:"


def fit_demonstrations(
    shots: FewShot, questions: Sequence[Question], *, count_tokens: Callable[[str], int], max_tokens: int
) -> FewShot:
    """Returns as many demonstrations, from the first on, as fit into ``max_tokens`` with the longest of the questions.

    Args:
      shots: the instruction and demonstrations to choose from.
      questions: all that will be asked, at least one.
      count_tokens: the number of tokens of a text.
      max_tokens: room for the prompt of :func:`render_explanation`, in tokens.

    Raises:
      ValueError: if not even the question alone fits.
    """
    longest = max(questions, key=lambda question: count_tokens(render_question(question, shots.style)))
    for count in range(len(shots.demonstrations), -1, -1):
        fitting = shots.take(range(count))
        tokens = count_tokens(render_explanation(fitting, longest))
        if tokens <= max_tokens:
            return fitting
    raise ValueError(
        f"expected max_tokens of at least {tokens}, which the longest question needs without any demonstration, got "
        f"{max_tokens}"
    )


def render_question(question: Question, style: AnswerStyle) -> str:
    """Returns a question and its options as text.

    Args:
      question: what to ask.
      style: how its options are listed.
    """
    return f"Question: {question.text}\n{style.render(question)}"


def _render(shots: FewShot, question: Question, render_shown: Callable[[Question], str], ending: str) -> str:
    shown = [f"{render_question(each, shots.style)}\n{render_shown(each)}" for each in shots.demonstrations]
    return "\n\n".join([shots.instruction, *shown, f"{render_question(question, shots.style)}\n{ending}"])


def _answer(shots: FewShot, shown: Question) -> str:
    if shown.answer is None:
        raise ValueError(f"a demonstration needs an answer, and this one has none: {shown.text!r}; leave it out")
    return f"Answer:{shots.style.options(shown)[shown.answer]}"


def _explanation(shown: Question) -> str:
    if not shown.explanations:
        raise ValueError(f"a demonstration needs an explanation, and this one has none: {shown.text!r}; leave it out")
    return f"Explanation: {_one_line(shown.explanations[0])}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
