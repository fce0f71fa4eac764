"""From the rows of a data set to preference records: which column holds what.

Readers take any ``row_fn(row) -> PreferenceRecord``. These are the usual layouts; write a function for an unusual one,
and let it raise ValueError for a row that it cannot use.

``source`` and ``id`` name columns too, or are None where there is none. Wherever a response is expected, a chat of one
message (or, see :class:`PairColumns`, one that ends with it) will do.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxalign.data.record import PreferenceRecord, chat_messages


@dataclasses.dataclass(frozen=True)
class ListColumns:
    """One row per list, with a label in [0, 1] for each response."""

    prompt: str = "prompt"
    responses: str = "responses"
    labels: str = "labels"
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        responses = [_last_message(response) for response in _sequence(row, self.responses)]
        return PreferenceRecord(
            value_of(row, self.prompt),
            tuple(responses),
            tuple(_sequence(row, self.labels)),
            **names_of(row, self),
        )


@dataclasses.dataclass(frozen=True)
class RankColumns:
    """One row per list, with a rank for each response, 1 = best."""

    prompt: str = "prompt"
    responses: str = "responses"
    ranks: str = "ranks"
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        responses = [_last_message(response) for response in _sequence(row, self.responses)]
        return PreferenceRecord.from_ranks(
            value_of(row, self.prompt), responses, _sequence(row, self.ranks), **names_of(row, self)
        )


@dataclasses.dataclass(frozen=True)
class PairColumns:
    """One row per pair. With ``prompt=None`` both sides are whole chats that differ in their last message only."""

    prompt: str | None = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        chosen, rejected = value_of(row, self.chosen), value_of(row, self.rejected)
        prompt = _shared_start(chosen, rejected) if self.prompt is None else value_of(row, self.prompt)
        return PreferenceRecord.from_pair(prompt, _last_message(chosen), _last_message(rejected), **names_of(row, self))


@dataclasses.dataclass(frozen=True)
class UnlabelledColumns:
    """One row per list that nobody has judged yet: all labels are 0.5.

    ``responses`` names a column with a list of responses, or several columns with one response each.
    """

    prompt: str = "prompt"
    responses: str | tuple[str, ...] = "responses"
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        if isinstance(self.responses, str):
            responses = _sequence(row, self.responses)
        else:
            responses = [value_of(row, column) for column in self.responses]
        texts = tuple(_last_message(response) for response in responses)
        return PreferenceRecord(value_of(row, self.prompt), texts, (0.5,) * len(texts), **names_of(row, self))


@dataclasses.dataclass(frozen=True)
class ResponseColumns:
    """One row per response, read with ``group_by_id=True``: rows of one id are the list of one prompt."""

    id: str = "id"
    prompt: str = "prompt"
    response: str = "response"
    label: str = "label"
    source: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        response = _last_message(value_of(row, self.response))
        return PreferenceRecord(
            value_of(row, self.prompt), (response,), (value_of(row, self.label),), **names_of(row, self)
        )


def value_of(row: Mapping, column: str) -> Any:
    """The value of a column that every row must have; ValueError where there is none."""
    if column not in row:
        raise ValueError(f"{column}: no such column; the row has {', '.join(map(str, row))}")
    if row[column] is None:
        raise ValueError(f"{column}: the row has no value here")
    return row[column]


def _sequence(row: Mapping, column: str) -> list:
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


def _last_message(response: Any) -> Any:
    return response if isinstance(response, str) else chat_messages(response)[-1]["content"]


def _shared_start(chosen: Any, rejected: Any) -> tuple:
    start = chat_messages(chosen)[:-1]
    if start != chat_messages(rejected)[:-1]:
        raise ValueError("chosen, rejected: expected chats that differ in their last message only")
    return start
