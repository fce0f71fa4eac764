"""From the rows of a data set to questions and to judged pairs: which column holds what.

The ``row_fn`` of :func:`~jaxalign.data.read_parquet` and its like, as :mod:`jaxalign.data.columns` has them for lists.
``id``, ``source`` and ``group`` name columns, or are None where there is none. ``explanations`` names columns that hold
a text or a list of texts, which are joined; empty ones are left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxalign.data.columns import names_of, value_of
from jaxalign.data.pairs import PreferencePair
from jaxalign.data.questions import Question

NLI_LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2, "e": 0, "n": 1, "c": 2, 0: 0, 1: 1, 2: 2}


@dataclasses.dataclass(frozen=True)
class NliColumns:
    """One row per premise and hypothesis; the answers are whether the one makes the other true."""

    premise: str = "premise"
    hypothesis: str = "hypothesis"
    label: str = "label"
    explanations: tuple[str, ...] = ()
    options: tuple[str, str, str] = ("Yes", "Maybe", "No")  # entailment, neutral, contradiction
    labels: Mapping[Any, int] = dataclasses.field(default_factory=NLI_LABELS.copy)  # values, and the options they mean
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> Question:
        premise, hypothesis = value_of(row, self.premise), value_of(row, self.hypothesis)
        return Question(
            f"Premise: {premise}\nHypothesis: {hypothesis}\nGiven the premise, is the hypothesis true?",
            self.options,
            _look_up(self.labels, row, self.label),
            _explanations(row, self.explanations),
            group=premise,
            **names_of(row, self),
        )


@dataclasses.dataclass(frozen=True)
class ChoiceColumns:
    """One row per question with a list of choices; a negative or missing answer is unknown."""

    question: str = "question"
    choices: str = "choices"
    answer: str = "answer"  # the place of the right choice
    explanations: tuple[str, ...] = ()
    group: str | None = None
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> Question:
        answer = row.get(self.answer)
        if isinstance(answer, str):
            raise ValueError(f"{self.answer}: expected the place of the right choice, counted from 0, got {answer!r}")
        return Question(
            value_of(row, self.question),
            tuple(value_of(row, self.choices)),
            None if answer is None or answer < 0 else answer,
            _explanations(row, self.explanations),
            **names_of(row, self, "source", "id", "group"),
        )


@dataclasses.dataclass(frozen=True)
class BooleanColumns:
    """One row per yes/no question, whose answer is true or false."""

    question: str = "question"
    answer: str = "answer"
    explanations: tuple[str, ...] = ()
    options: tuple[str, str] = ("True", "False")
    group: str | None = None
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> Question:
        return Question(
            value_of(row, self.question),
            self.options,
            _look_up({True: 0, False: 1}, row, self.answer),
            _explanations(row, self.explanations),
            **names_of(row, self, "source", "id", "group"),
        )


@dataclasses.dataclass(frozen=True)
class JudgedPairColumns:
    """One row per pair of responses, with a label that says which one is better."""

    prompt: str = "prompt"
    first: str = "response_a"
    second: str = "response_b"
    label: str = "label"
    targets: Mapping[Any, float] = dataclasses.field(default_factory={1: 1.0, 2: 0.0}.copy)
    """Values of the label, and the probabilities that the first response is the better one."""
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferencePair:
        return PreferencePair(
            value_of(row, self.prompt),
            value_of(row, self.first),
            value_of(row, self.second),
            _look_up(self.targets, row, self.label),
            **names_of(row, self),
        )


LLMBAR = JudgedPairColumns("input", "output_1", "output_2", source="subset", id="idx")
ESNLI = NliColumns(explanations=("explanation_1", "explanation_2", "explanation_3"))
ANLI = NliColumns("context", "statement", "gold_label", explanations=("reason",), id="uid")
CSQA_COSE = ChoiceColumns(explanations=("explanation",), group="concept", id="id")
OPENBOOKQA = ChoiceColumns()
STRATEGYQA = BooleanColumns(explanations=("facts",), group="term", id="qid")


def _look_up(values: Mapping, row: Mapping, column: str) -> Any:
    value = value_of(row, column)
    if value not in values:
        raise ValueError(f"{column}: expected one of {', '.join(map(repr, values))}, got {value!r}")
    return values[value]


def _explanations(row: Mapping, columns: Sequence[str]) -> tuple[str, ...]:
    texts = [value_of(row, column) for column in columns]
    joined = [text if isinstance(text, str) else " ".join(text) for text in texts]
    return tuple(text for text in map(str.strip, joined) if text)
