"""Rows of one response: judged by itself, as KTO takes them, or an example to learn from, as SFT does."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxalign.data.readers.columns import names_of, number_of, tools_of, value_of
from jaxalign.data.readers.conversations import split_answers
from jaxalign.data.records.record import PreferenceRecord, answer_of, chat_messages


@dataclasses.dataclass(frozen=True)
class UnpairedColumns:
    """One row per response that is desirable or not, as KTO takes them: a list of one with the label 1 or 0.

    Attributes:
      prompt: the column of the prompt, a text or a chat.
      completion: the column of the response: a text, an assistant's message, or a conversation that ends with it.
      label: the column that says whether it is desirable: true or false, 1 or 0, or a text that spells one of these.
      source: the column of the name of the data set; None for none.
      id: the column of the row's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    prompt: str = "prompt"
    completion: str = "completion"
    label: str = "label"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        return _record(self, row, _truth(value_of(row, self.label), self.label))


@dataclasses.dataclass(frozen=True)
class DemonstrationColumns:
    """One row per prompt with the response to learn: a list of one with the label 1.

    Attributes:
      prompt: the column of the prompt, a text or a chat.
      completion: the column of the response: a text, an assistant's message, or a conversation that ends with it.
      source: the column of the name of the data set; None for none.
      id: the column of the row's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    prompt: str = "prompt"
    completion: str = "completion"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        return _record(self, row, 1.0)


@dataclasses.dataclass(frozen=True)
class ConversationColumns:
    """One row per conversation: its last message, the assistant's, answers what is before it, with the label 1.

    :func:`each_turn` makes a record of every turn of the assistant.

    Attributes:
      messages: the column of the list of messages.
      source: the column of the name of the data set; None for none.
      id: the column of the conversation's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    messages: str = "messages"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        chat = chat_messages(value_of(row, self.messages), self.messages)
        prompt, answers = split_answers(None, {self.messages: chat})
        return PreferenceRecord(prompt, tuple(answers), (1.0,), **names_of(row, self), **tools_of(row, self))


def each_turn(record: PreferenceRecord) -> list[PreferenceRecord]:
    """Makes a record of every turn of the assistant in a conversation, in their order; the last one is the record.

    An earlier turn answers what stands before it. One that begins the conversation answers nothing: it is a part of the
    later prompts only.

    >>> chat = [{"role": role, "content": text} for role, text in [("user", "1"), ("assistant", "2"), ("user", "3")]]
    >>> [(len(turn.prompt), turn.responses) for turn in each_turn(PreferenceRecord(chat, ("4",), (1.0,)))]
    [(1, ('2',)), (3, ('4',))]

    Args:
      record: a demonstration: one response with the label 1.

    Returns:
      The records, of which all but the last have no token ids; a record whose prompt is a text is the only one.

    Raises:
      ValueError: if the record has other responses or labels, which say nothing about earlier turns.
    """
    if len(record.responses) != 1 or record.labels != (1.0,):
        raise ValueError(
            f"expected a demonstration, one response with the label 1, got {len(record.responses)} with the labels "
            f"{record.labels}; earlier turns have no labels of their own"
        )
    if isinstance(record.prompt, str):
        return [record]
    turns = [n for n, message in enumerate(record.prompt) if n and message["role"] == "assistant"]
    answers = [answer_of(record.prompt[n], f"prompt, message {n}") for n in turns]
    return [
        *(
            dataclasses.replace(record, prompt=record.prompt[:n], responses=(answer,), tokens=())
            for n, answer in zip(turns, answers, strict=True)
        ),
        record,
    ]


def _record(columns: Any, row: Mapping, label: float) -> PreferenceRecord:
    named = {columns.completion: value_of(row, columns.completion)}
    prompt, answers = split_answers(value_of(row, columns.prompt), named)
    return PreferenceRecord(prompt, tuple(answers), (label,), **names_of(row, columns), **tools_of(row, columns))


def _truth(value: Any, column: str) -> float:
    if (number := number_of(value, column)) not in (0, 1):
        raise ValueError(f"{column}: expected true or false, or 1 or 0, got {value!r}")
    return number
