"""Makes preference records of the rows of a data set: which column holds what.

Readers take any ``row_fn(row) -> PreferenceRecord``. These are the usual layouts; write a function for an unusual one,
and let it raise ValueError for a row that it cannot use.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from jaxalign.data.readers.conversations import numbered, split_answers
from jaxalign.data.records.record import PreferenceRecord


@dataclasses.dataclass(frozen=True)
class ListColumns:
    """One row per list, with a label in [0, 1] for each response.

    Attributes:
      prompt: the column of the prompt, a text or a chat.
      responses: the column of the list of responses. Each is a text, an assistant's message, or a whole conversation
        that ends with it.
      labels: the column of the list of labels, one for each response, higher is better.
      source: the column of the name of the data set; None for none.
      id: the column of the list's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
      tokens: the column of the token ids of each response, a list of lists or nulls; None where there are only texts.
    """

    prompt: str = "prompt"
    responses: str = "responses"
    labels: str = "labels"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"
    tokens: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        answers = numbered(self.responses, sequence_of(row, self.responses))
        prompt, responses = split_answers(value_of(row, self.prompt), answers)
        labels = tuple(sequence_of(row, self.labels))
        fields = names_of(row, self) | tools_of(row, self)
        if self.tokens is not None:
            fields["tokens"] = tuple(sequence_of(row, self.tokens))
        return PreferenceRecord(prompt, tuple(responses), labels, **fields)


@dataclasses.dataclass(frozen=True)
class RankColumns:
    """One row per list, with a rank for each response, 1 = best.

    Attributes:
      prompt: the column of the prompt, a text or a chat.
      responses: the column of the list of responses. Each is a text, an assistant's message, or a whole conversation
        that ends with it.
      ranks: the column of the list of ranks, one for each response.
      source: the column of the name of the data set; None for none.
      id: the column of the list's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    prompt: str = "prompt"
    responses: str = "responses"
    ranks: str = "ranks"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        answers = numbered(self.responses, sequence_of(row, self.responses))
        prompt, responses = split_answers(value_of(row, self.prompt), answers)
        ranks = sequence_of(row, self.ranks)
        return PreferenceRecord.from_ranks(prompt, responses, ranks, **names_of(row, self), **tools_of(row, self))


@dataclasses.dataclass(frozen=True)
class PairColumns:
    """One row per pair of a better and a worse response.

    Attributes:
      prompt: the column of the prompt, a text or a chat; None where both sides are conversations that differ in their
        last message only.
      chosen: the column of the better response: a text, an assistant's message, or a whole conversation that ends with
        it.
      rejected: the column of the other one.
      source: the column of the name of the data set; None for none.
      id: the column of the pair's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    prompt: str | None = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        sides = {column: value_of(row, column) for column in (self.chosen, self.rejected)}
        prompt, answers = split_answers(None if self.prompt is None else value_of(row, self.prompt), sides)
        return PreferenceRecord.from_pair(prompt, *answers, **names_of(row, self), **tools_of(row, self))


@dataclasses.dataclass(frozen=True)
class UnlabelledColumns:
    """One row per list that nobody has judged yet: all labels are 0.5.

    Attributes:
      prompt: the column of the prompt, a text or a chat.
      responses: the column of a list of responses, or several columns with one response each. Each is a text, an
        assistant's message, or a whole conversation that ends with it.
      source: the column of the name of the data set; None for none.
      id: the column of the list's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    prompt: str = "prompt"
    responses: str | tuple[str, ...] = "responses"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        if isinstance(self.responses, str):
            named = numbered(self.responses, sequence_of(row, self.responses))
        else:
            named = {column: value_of(row, column) for column in self.responses}
        prompt, answers = split_answers(value_of(row, self.prompt), named)
        labels = (0.5,) * len(answers)
        return PreferenceRecord(prompt, tuple(answers), labels, **names_of(row, self), **tools_of(row, self))


@dataclasses.dataclass(frozen=True)
class ResponseColumns:
    """One row per response, read with ``group_by_id=True``: rows of one id are the list of one prompt.

    Attributes:
      id: the column of what rows of one list have in common.
      prompt: the column of the prompt, a text or a chat.
      response: the column of the response: a text, an assistant's message, or a whole conversation that ends with it.
      label: the column of its label, a number or a text that spells one, higher is better.
      source: the column of the name of the data set; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
      low: what stands in the column for the label 0; a lower value is an error.
      high: what stands in it for the label 1.
    """

    id: str = "id"
    prompt: str = "prompt"
    response: str = "response"
    label: str = "label"
    source: str | None = None
    tools: str = "tools"
    low: float = 0.0
    high: float = 1.0

    def __call__(self, row: Mapping) -> PreferenceRecord:
        named = {self.response: value_of(row, self.response)}
        prompt, answers = split_answers(value_of(row, self.prompt), named)
        score = number_of(value_of(row, self.label), self.label)
        labels = (scaled(score, self.low, self.high, self.label),)
        return PreferenceRecord(prompt, tuple(answers), labels, **names_of(row, self), **tools_of(row, self))


def value_of(row: Mapping, column: str) -> Any:
    """The value of a column that every row must have; ValueError where there is none."""
    if column not in row:
        raise ValueError(f"{column}: no such column; the row has {', '.join(map(str, row))}")
    if row[column] is None:
        raise ValueError(f"{column}: the row has no value here")
    return row[column]


def number_of(value: Any, field: str) -> float:
    """A number, or what a text spells where a format has only texts, true as 1; ValueError for others."""
    try:
        known = {"true": 1.0, "false": 0.0}.get(str(value).strip().lower(), value)
        number = math.nan if known is None else float(known)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{field}: expected a number, got {value!r}")
    return number


def scaled(score: float, low: float, high: float, field: str) -> float:
    """A score as a label: 0 for ``low``, 1 for ``high``; ValueError, naming the field, for one outside."""
    if not low <= score <= high:
        raise ValueError(f"{field}: expected numbers in [{low:g}, {high:g}], got {score!r}; rescale scores")
    return (score - low) / (high - low)


def sequence_of(row: Mapping, column: str) -> list:
    """The list of a column that every row must have; ValueError where there is none."""
    value = value_of(row, column)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{column}: expected a list, got {value!r}")
    return list(value)


def names_of(row: Mapping, columns: Any, *fields: str) -> dict[str, str]:
    """The fields, by default source and id, for which a column is named, as texts."""
    return {
        field: str(value_of(row, column))
        for field in fields or ("source", "id")
        if (column := getattr(columns, field)) is not None
    }


def tools_of(row: Mapping, columns: Any) -> dict[str, tuple]:
    """The functions of a row as a field; data sets write them as a list, or as the JSON of one."""
    given = row.get(columns.tools)
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(f"{columns.tools}: expected a list of JSON schemas, got no JSON ({error})") from error
    if not given:
        return {}
    if not isinstance(given, list | tuple) or not all(isinstance(tool, Mapping) for tool in given):
        raise ValueError(f"{columns.tools}: expected a list of JSON schemas, got {given!r}")
    return {"tools": tuple(given)}
