"""What is done to a row before its columns are read: fields of objects as columns, parts of a prompt put together.

A step takes a row and gives one with other or more columns; :class:`Prepared` does steps before a ``row_fn``.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxalign.data.readers.columns import value_of
from jaxalign.data.readers.forms import is_fields
from jaxalign.data.readers.transcripts import transcript_prompt

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A ``row_fn`` that does steps with a row before another one reads it.

    Attributes:
      row_fn: makes a record of the row that the last step gives.
      steps: each takes a row and gives a row.
    """

    row_fn: Callable[[Mapping], Any]
    steps: tuple[Callable[[Mapping], Mapping], ...]

    def __call__(self, row: Mapping) -> Any:
        return self.row_fn(prepared(row, self.steps))


def prepared(row: Mapping, steps: Iterable[Callable[[Mapping], Mapping]]) -> Mapping:
    """A row after the steps, in their order."""
    for step in steps:
        row = step(row)
    return row


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields of a list of objects as columns: ``completions.response`` has the ``response`` of each completion.

    Attributes:
      column: the column of the lists of objects.
      fields: which of their fields; one that an object lacks is None there.
    """

    column: str
    fields: tuple[str, ...]

    def __call__(self, row: Mapping) -> Mapping:
        objects = value_of(row, self.column)
        if not isinstance(objects, list | tuple) or not all(isinstance(each, Mapping) for each in objects):
            raise ValueError(f"{self.column}: expected a list of objects, got {objects!r}")
        return {**row, **{f"{self.column}.{field}": [each.get(field) for each in objects] for field in self.fields}}


@dataclasses.dataclass(frozen=True)
class Objects:
    """A list of objects that is stored as an object of lists, one for each field, as the list that it is.

    Attributes:
      column: the column of the objects of lists.
    """

    column: str

    def __call__(self, row: Mapping) -> Mapping:
        value = row.get(self.column)
        if not isinstance(value, Mapping) or not is_fields(value):
            return row
        return {**row, self.column: [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=True)]}


@dataclasses.dataclass(frozen=True)
class SharedBeginning:
    """What both texts of a pair begin with, up to the last blank before they differ, as the prompt that they continue.

    Attributes:
      prompt: the name of the column that is made.
      chosen: the column of the better text; what follows the prompt stays there, its blank too.
      rejected: the column of the other one.
    """

    prompt: str
    chosen: str
    rejected: str

    def __call__(self, row: Mapping) -> Mapping:
        texts = [value_of(row, column) for column in (self.chosen, self.rejected)]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{self.chosen}, {self.rejected}: expected texts, got {texts!r}")
        shared = os.path.commonprefix(texts)
        if any(text[len(shared) : len(shared) + 1].strip() for text in texts):
            shared = re.sub(r"\S*\Z", "", shared)
        if not (shared := shared.rstrip()):
            raise ValueError(f"{self.chosen}, {self.rejected}: expected texts that begin with the same prompt")
        ends = {column: text[len(shared) :] for column, text in zip((self.chosen, self.rejected), texts, strict=True)}
        return {**row, self.prompt: shared, **ends}


@dataclasses.dataclass(frozen=True)
class SystemTurn:
    """A column of system messages as the first turn of the prompt, which becomes a chat; none where it is empty.

    Attributes:
      system: the column of the texts.
      prompt: the column of the prompt, a text or a chat; it must not begin with a system message of its own.
    """

    system: str
    prompt: str

    def __call__(self, row: Mapping) -> Mapping:
        if not (text := row.get(self.system)):
            return row
        if not isinstance(text, str):
            raise ValueError(f"{self.system}: expected a text, got {text!r}")
        prompt = value_of(row, self.prompt)
        chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if chat and chat[0].get("role") == "system":
            raise ValueError(f"{self.system}: says {text[:60]!r}, and {self.prompt} has a system message; keep one")
        return {**row, self.prompt: [{"role": "system", "content": text}, *chat]}


@dataclasses.dataclass(frozen=True)
class JoinedPrompt:
    """An instruction and what it is to be applied to, as one prompt with a blank line between them.

    Attributes:
      prompt: the column of the instruction, which becomes that of both.
      context: the column of what it is applied to, a text that may be empty or missing.
    """

    prompt: str
    context: str

    def __call__(self, row: Mapping) -> Mapping:
        instruction, context = value_of(row, self.prompt), row.get(self.context)
        if not context:
            return row
        for column, text in ((self.prompt, instruction), (self.context, context)):
            if not isinstance(text, str):
                raise ValueError(f"{column}: expected a text, got {text!r}")
        return {**row, self.prompt: f"{instruction}\n\n{context}"}


@dataclasses.dataclass(frozen=True)
class TranscriptPrompt:
    """A prompt that is a transcript up to and with its last ``"Assistant:"``, as the chat that it is.

    Attributes:
      prompt: the column of the transcripts.
    """

    prompt: str

    def __call__(self, row: Mapping) -> Mapping:
        if not isinstance(text := value_of(row, self.prompt), str):
            raise ValueError(f"{self.prompt}: expected a transcript, which is a text, got {text!r}")
        return {**row, self.prompt: transcript_prompt(text, self.prompt)}


@dataclasses.dataclass(frozen=True)
class ShareGptRoles:
    """Messages of ``from`` and ``value``, as ShareGPT writes them, as messages of role and content.

    Attributes:
      column: the column of the messages, one a row or a list.
    """

    column: str

    def __call__(self, row: Mapping) -> Mapping:
        value = value_of(row, self.column)
        chat = [self._message(each) for each in value] if isinstance(value, list | tuple) else self._message(value)
        return {**row, self.column: chat}

    def _message(self, message: Any) -> dict[str, Any]:
        if not isinstance(message, Mapping) or not isinstance(message.get("value"), str):
            raise ValueError(f"{self.column}: expected messages with texts for from and value, got {message!r}")
        if (speaker := message.get("from")) not in ROLES:
            raise ValueError(f"{self.column}: expected from to be one of {', '.join(ROLES)}, got {speaker!r}")
        # An answer that is not to be learnt is refused by who reads the messages; of other turns a weight says nothing.
        weight = {"weight": message.get("weight")} if ROLES[speaker] == "assistant" else {}
        return {"role": ROLES[speaker], "content": message["value"], **weight}
