"""What an answer says, read beside its bytes while they pass: its text, why it ended, and whether it is complete."""

import json
from typing import Any, NamedTuple

_LONGEST = 2**22  # characters of an event or a text that are kept; what is longer is not learnt from


class Read(NamedTuple):
    """What was read of an answer."""

    complete: bool  # it ended as the protocol wants it
    text: str | None  # of the only choice; None where there are several, tool calls, or nothing that could be read
    finish: str | None
    prompt_tokens: int | None  # as the upstream counted; None where it did not say
    answer_tokens: int | None


NOTHING = Read(False, None, None, None, None)


class Reader:
    """Reads a stream of server-sent events as its bytes come, cut anywhere.

    >>> reader = Reader()
    >>> for part in b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}', b'\\n\\ndata: [DO', b'NE]\\n\\n':
    ...     reader.feed(part)
    >>> reader.result()
    Read(complete=True, text='Hi', finish=None, prompt_tokens=None, answer_tokens=None)
    """

    def __init__(self):
        self._left = b""
        self._texts: list[str] = []
        self._length = 0
        self._finish: str | None = None
        self._usage: tuple[int | None, int | None] = (None, None)
        self._plain = True
        self.done = False  # [DONE] came
        self.failed = False  # an event held an error, or was no JSON

    def feed(self, part: bytes) -> None:
        """Reads further.

        Args:
          part: the next bytes.
        """
        lines = (self._left + part).split(b"\n")
        self._left = lines.pop()
        if len(self._left) > _LONGEST:
            self._left, self._plain = b"", False
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip())

    def result(self) -> Read:
        """Says what was read. The stream is complete if its choice or ``[DONE]`` ended it, and no error came."""
        text = "".join(self._texts) if self._plain and not self.failed else None
        ended = self.done or self._finish is not None
        return Read(ended and not self.failed, text, self._finish, *self._usage)

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            found = json.loads(data)
        except ValueError:
            self.failed = True
            return
        if not isinstance(found, dict) or "error" in found:
            self.failed = True
            return
        self._usage = _usage(found.get("usage")) if found.get("usage") else self._usage
        for choice in found.get("choices") or ():
            self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or {}
        if choice.get("index", 0) != 0 or delta.get("tool_calls") or delta.get("function_call"):
            self._plain = False
        if isinstance(text := delta.get("content"), str):
            self._length += len(text)
            self._plain = self._plain and self._length <= _LONGEST
            self._texts.append(text if self._plain else "")
        self._finish = choice.get("finish_reason") or self._finish


def read_body(body: bytes) -> Read:
    """Reads an answer that came as one JSON object.

    Args:
      body: the whole of it.

    >>> read_body(b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}').text
    'Hi'
    """
    try:
        found = json.loads(body)
        choices = found["choices"]
        message, finish = choices[0]["message"], choices[0].get("finish_reason")
        text, calls = message.get("content"), message.get("tool_calls")
        prompt, answer = _usage(found.get("usage") or {})
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return NOTHING
    plain = len(choices) == 1 and isinstance(text, str) and not calls and len(text) <= _LONGEST
    return Read(True, text if plain else None, finish, prompt, answer)


def _usage(usage: Any) -> tuple[int | None, int | None]:
    found = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    prompt, answer = (each if isinstance(each, int) else None for each in found)
    return prompt, answer
