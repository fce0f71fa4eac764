"""Chats that are stored as one text, as Anthropic's HH-RLHF has them: ``"\\n\\nHuman: ...\\n\\nAssistant: ..."``."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from jaxalign.data.readers.columns import names_of, value_of
from jaxalign.data.records.record import Message, PreferenceRecord

ROLES = {"Human": "user", "Assistant": "assistant"}
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_NAME = re.compile(r"\b(?:Human|Assistant):|^(?:System|User|Bot):", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class TranscriptColumns:
    """One row per pair of transcripts that differ in their last answer only; what they share is the prompt, as a chat.

    A row raises ValueError, with the column, for a transcript that does not begin with a human's turn, whose turns do
    not alternate, that has an empty turn, or in which a turn itself names a speaker, so that nobody can tell where it
    ends.

    Attributes:
      prompt: the column of the transcript up to and with the last ``"Assistant:"``, where ``chosen`` and ``rejected``
        are the answers alone; None where these hold all of it.
      chosen: the column of the better side.
      rejected: the column of the other one.
      source: the column of the name of the data set; None for none.
      id: the column of the pair's name; None for none.
    """

    prompt: str | None = None
    chosen: str = "chosen"
    rejected: str = "rejected"
    source: str | None = None
    id: str | None = None

    def __call__(self, row: Mapping) -> PreferenceRecord:
        sides = [(column, _text(row, column)) for column in (self.chosen, self.rejected)]
        if self.prompt is None:
            prompt, answers = self._split(*(_whole(column, text) for column, text in sides))
        else:
            prompt = transcript_prompt(_text(row, self.prompt), self.prompt)
            answers = [_answer(column, text) for column, text in sides]
        return PreferenceRecord.from_pair(prompt, *answers, **names_of(row, self))

    def _split(self, chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> tuple[tuple[Message, ...], list]:
        (*prompt, good), (*other, bad) = chosen, rejected
        if prompt != other:
            turn = next((n for n, pair in enumerate(zip(prompt, other, strict=False), 1) if pair[0] != pair[1]), None)
            where = f"turn {turn}" if turn else f"length, {len(prompt) + 1} and {len(other) + 1} turns"
            raise ValueError(
                f"{self.chosen}, {self.rejected}: expected transcripts that differ in their last answer only, and they "
                f"differ in {where}"
            )
        return tuple(prompt), [good["content"], bad["content"]]


def parse_transcript(text: str, column: str = "transcript") -> tuple[Message, ...]:
    r"""Reads the turns of a transcript, beginning with a human's; blanks around a turn's text are no part of it.

    Args:
      text: turns such as ``Human: ...`` and ``Assistant: ...``, with blank lines between them.
      column: what errors call the transcript.

    Returns:
      The turns as messages of the roles ``user`` and ``assistant``.

    >>> parse_transcript("\n\nHuman: Hello\n\nAssistant: Hi, how are you?")
    ({'role': 'user', 'content': 'Hello'}, {'role': 'assistant', 'content': 'Hi, how are you?'})

    Raises:
      ValueError: if it does not begin with a human's turn, its turns do not alternate, or one is empty or names a
        speaker.
    """
    before, *parts = _TURN.split(text)
    if before.strip() or not parts or parts[0] != "Human":
        raise ValueError(f"{column}: expected a transcript that begins with 'Human:', got {_shown(text)}")
    turns = list(zip(parts[::2], parts[1::2], strict=True))
    for number, (name, said) in enumerate(turns, 1):
        if name != list(ROLES)[(number - 1) % 2]:
            raise ValueError(f"{column}: expected Human and Assistant in turns, and turn {number} is {name}'s again")
        if not said.strip():
            raise ValueError(f"{column}: turn {number} of {len(turns)}, {name}'s, is empty")
        _check_names(said, f"{column}: turn {number} of {len(turns)}")
    return tuple(Message(role=ROLES[name], content=said.strip()) for name, said in turns)


def _whole(column: str, text: str) -> tuple[Message, ...]:
    turns = parse_transcript(text, column)
    if turns[-1]["role"] != "assistant":
        raise ValueError(f"{column}: expected a transcript that ends with an answer, and its last turn is a human's")
    return turns


def transcript_prompt(text: str, column: str) -> tuple[Message, ...]:
    """The turns of a transcript that ends with ``"Assistant:"``; ValueError, naming the column, for another one."""
    opened = re.fullmatch(r"(.*)\n\nAssistant:\s*", text, re.DOTALL)
    if opened is None:
        raise ValueError(f"{column}: expected a transcript that ends with 'Assistant:', got ...{text[-60:]!r}")
    turns = parse_transcript(opened[1], column)
    if turns[-1]["role"] != "user":
        raise ValueError(f"{column}: expected Human and Assistant in turns, and the last two are Assistant's")
    return turns


def _answer(column: str, text: str) -> str:
    if not text.strip():
        raise ValueError(f"{column}: the answer is empty")
    _check_names(text, column)
    return text.strip()


def _check_names(said: str, place: str) -> None:
    if found := _NAME.search(said):
        raise ValueError(f"{place} has {found[0]!r} within its text, so where it ends is not clear: {_shown(said)}")


def _text(row: Mapping, column: str) -> str:
    value: Any = value_of(row, column)
    if not isinstance(value, str):
        raise ValueError(f"{column}: expected a transcript, which is a text, got {value!r}")
    return value


def _shown(text: str) -> str:
    return repr(text[:80] + ("..." if len(text) > 80 else ""))
