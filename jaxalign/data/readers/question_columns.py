"""Makes questions and judged pairs of the rows of a data set: which column holds what.

They are the ``row_fn`` of :func:`~jaxalign.data.read_parquet` and its like, as :mod:`jaxalign.data.readers.columns` has
them for lists.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxalign.data.readers.columns import names_of, value_of
from jaxalign.data.records.pairs import PreferencePair
from jaxalign.data.records.questions import Question, whole_number

_NOUNS = ("model", "response", "assistant", "output", "answer", "text", "option", "summary", "completion")
VERDICTS: Mapping[Any, float] = {
    **dict.fromkeys(("1", "a", "first", "left"), 1.0),
    **dict.fromkeys(("2", "b", "second", "right"), 0.0),
    **{f"{noun}_a": 1.0 for noun in _NOUNS},
    **{f"{noun}_b": 0.0 for noun in _NOUNS},
    **{f"{noun}_1": 1.0 for noun in _NOUNS},
    **{f"{noun}_2": 0.0 for noun in _NOUNS},
    **dict.fromkeys(
        ("tie", "draw", "tie (bothbad)", "both", "neither", "both_bad", "both_good", "bothbad", "equal"), 0.5
    ),
}
"""What labels of pairs are usually called, and the probability that the first response is the better one."""
_TRUTH = {"true": 0, "false": 1, "yes": 0, "no": 1, 1: 0, 0: 1}
NLI_LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2, "e": 0, "n": 1, "c": 2, 0: 0, 1: 1, 2: 2}


@dataclasses.dataclass(frozen=True)
class NliColumns:
    """One row per premise and hypothesis; the answers are whether the one makes the other true.

    Attributes:
      premise: the column of the premise, which is the question's group too.
      hypothesis: the column of the hypothesis.
      label: the column of the answer.
      explanations: columns of a text or a list of texts, which are joined; empty ones are left out.
      options: the answers as texts, for entailment, neutral and contradiction.
      labels: values of the label, and the places of the options that they stand for.
      source: the column of the name of the data set; None for none.
      id: the column of the question's name; None for none.
    """

    premise: str = "premise"
    hypothesis: str = "hypothesis"
    label: str = "label"
    explanations: tuple[str, ...] = ()
    options: tuple[str, str, str] = ("Yes", "Maybe", "No")
    labels: Mapping[Any, int] = dataclasses.field(default_factory=NLI_LABELS.copy)
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
    """One row per question with its choices: a list of texts, or texts with labels.

    Texts with labels are ``{"text": [...], "label": [...]}`` or a list of ``{"text": ..., "label": ...}``, as ARC and
    CommonsenseQA have them. The answer is the place of the right choice, counted from 0, or its label. A negative or
    missing one (None, NaN, an empty text) is unknown.

    Attributes:
      question: the column of the question.
      choices: the column of its choices.
      answer: the column of the right one.
      explanations: columns of a text or a list of texts, which are joined; empty ones are left out.
      group: the column of what questions share that belong on one side of a split; None for nothing.
      source: the column of the name of the data set; None for none.
      id: the column of the question's name; None for none.
    """

    question: str = "question"
    choices: str = "choices"
    answer: str = "answer"
    explanations: tuple[str, ...] = ()
    group: str | None = None
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> Question:
        options, labels = _choices(value_of(row, self.choices), self.choices)
        return Question(
            value_of(row, self.question),
            options,
            _place(row.get(self.answer), labels, self.answer),
            _explanations(row, self.explanations),
            **names_of(row, self, "source", "id", "group"),
        )


@dataclasses.dataclass(frozen=True)
class BooleanColumns:
    """One row per yes/no question, whose answer is true or false.

    Attributes:
      question: the column of the question.
      answer: the column of the answer: a truth value, 1 or 0, or a word such as "yes".
      explanations: columns of a text or a list of texts, which are joined; empty ones are left out.
      options: the answers as texts, for true and false.
      group: the column of what questions share that belong on one side of a split; None for nothing.
      source: the column of the name of the data set; None for none.
      id: the column of the question's name; None for none.
    """

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
            _look_up(_TRUTH, row, self.answer),
            _explanations(row, self.explanations),
            **names_of(row, self, "source", "id", "group"),
        )


@dataclasses.dataclass(frozen=True)
class JudgedPairColumns:
    """One row per pair of responses, with a label that says which one is better.

    Attributes:
      prompt: the column of the prompt.
      first: the column of the first response.
      second: the column of the second one.
      label: the column of the label; "" for none, so that the first response is the better one of every row.
      targets: values of the label, and the probabilities that the first response is the better one. By default these
        are 1 and 2, words such as "A", "model_b" and "tie" whatever their case, and the names of the two columns. Other
        values, such as 0, mean different things in different files, and need targets of their own.
      source: the column of the name of the data set; None for none.
      id: the column of the pair's name; None for none.
    """

    prompt: str = "prompt"
    first: str = "response_a"
    second: str = "response_b"
    label: str = "label"
    targets: Mapping[Any, float] | None = None
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferencePair:
        return PreferencePair(
            value_of(row, self.prompt),
            value_of(row, self.first),
            value_of(row, self.second),
            self._target(row),
            **names_of(row, self),
        )

    def _target(self, row: Mapping) -> float:
        if not self.label:
            return 1.0
        if self.targets is not None:
            return _look_up(self.targets, row, self.label)
        value = value_of(row, self.label)
        known = VERDICTS | {_text_of(self.first): 1.0, _text_of(self.second): 0.0}
        said = _text_of(value)
        if (target := known.get(said, known.get(re.sub(r"[\s-]+", "_", said)))) is None:
            raise ValueError(
                f"{self.label}: expected 1 or 2, 'A', 'B', 'tie' or the like, got {value!r}; say which response such a "
                "value means (targets=..., or the flag --labels VALUE=first, VALUE=second or VALUE=tie)"
            )
        return target


LLMBAR = JudgedPairColumns("input", "output_1", "output_2", source="subset", id="idx")
ESNLI = NliColumns(explanations=("explanation_1", "explanation_2", "explanation_3"))
ANLI = NliColumns("context", "statement", "gold_label", explanations=("reason",), id="uid")
CSQA_COSE = ChoiceColumns(explanations=("explanation",), group="concept", id="id")
OPENBOOKQA = ChoiceColumns()
STRATEGYQA = BooleanColumns(explanations=("facts",), group="term", id="qid")


def _look_up(values: Mapping, row: Mapping, column: str) -> Any:
    """The meaning of a value: of a text whatever its case, of a number also where it is a text or has a ``.0``."""
    value = value_of(row, column)
    known = {_text_of(key): meaning for key, meaning in values.items()}
    if (text := _text_of(value)) not in known:
        raise ValueError(f"{column}: expected one of {', '.join(map(repr, values))}, got {value!r}")
    return known[text]


def _text_of(value: Any) -> str:
    number = whole_number(value)
    return str(value if number is None else number).strip().casefold()


def _choices(value: Any, column: str) -> tuple[tuple, tuple]:
    """The texts of choices and their labels; no labels where there are none."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping) and {"text", "label"} <= value.keys():
        texts, labels = (_choices(value[name], f"{column}.{name}")[0] for name in ("text", "label"))
        if len(texts) != len(labels):
            raise ValueError(f"{column}: expected a label for each text, got {len(labels)} for {len(texts)}")
        return texts, labels
    if not isinstance(value, list | tuple):
        raise ValueError(
            f'{column}: expected a list of texts, or {{"text": [...], "label": [...]}}, got {value!r}; a text that '
            "holds a list has to be taken apart before"
        )
    if value and all(isinstance(each, Mapping) and {"text", "label"} <= each.keys() for each in value):
        return tuple(each["text"] for each in value), tuple(each["label"] for each in value)
    return tuple(value), ()


def _place(answer: Any, labels: Sequence[str], column: str) -> int | None:
    """The place of the right choice; None where it is unknown."""
    if answer is None or answer != answer or (isinstance(answer, str) and not answer.strip()):
        return None
    if isinstance(answer, str) and labels:
        fitting = [place for place, label in enumerate(labels) if str(label).strip() == answer.strip()]
        if len(fitting) == 1:
            return fitting[0]
        raise ValueError(f"{column}: expected one of the labels {list(labels)}, got {answer!r}")
    place = whole_number(answer)
    if place is None:
        raise ValueError(f"{column}: expected the place of the right choice, counted from 0, got {answer!r}")
    if any(str(label).strip().isdigit() for label in labels):
        raise ValueError(
            f"{column}: {answer!r} may be a place or one of the labels {list(labels)}; give the label as a text"
        )
    return None if place < 0 else place


def _explanations(row: Mapping, columns: Sequence[str]) -> tuple[str, ...]:
    texts = [value_of(row, column) for column in columns]
    joined = [text if isinstance(text, str) else " ".join(text) for text in texts]
    return tuple(text for text in map(str.strip, joined) if text)
