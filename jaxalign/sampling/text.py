"""Stop strings. They are found in text, outside of ``jit``: inside there are only ids, and a string may span tokens."""

import bisect
import re
from collections.abc import Callable, Mapping, Sequence

from jaxalign.sampling.jobs import StopFn, never

DecodeFn = Callable[[Sequence[int]], str]
MARKS = 0xF0000
"""The first of Unicode's characters for private use, which stand for the special tokens that stop strings name."""


class Stops:
    """Stop strings that may name special tokens, such as ``<|im_end|>``, which decoded text leaves out.

    A text ends where the first of ``strings`` is complete, written as ordinary text or as the special tokens in it.

    Args:
      strings: texts that are not empty.
      decode: turns token ids into text, for instance :meth:`jaxalign.data.Tokenizer.decode`.
      special_ids: the ids of special tokens, by their spelling.

    Attributes:
      find: the ``stop`` of ``run_jobs``.

    Raises:
      ValueError: ``strings`` is no list of texts that are not empty.
    """

    def __init__(self, strings: Sequence[str], decode: DecodeFn, special_ids: Mapping[str, int]):
        _check(strings)
        found = {name: id for name, id in special_ids.items() if any(name in string for string in strings)}
        self._marks = {id: chr(MARKS + place) for place, id in enumerate(found.values())}
        self._decode = decode
        # The longest first: one token's spelling may be a part of another's.
        spelled = re.compile("|".join(re.escape(name) for name in sorted(found, key=len, reverse=True)) or "(?!)")
        marked = [spelled.sub(lambda match: self._marks[found[match.group()]], string) for string in strings]
        self._strings = list(dict.fromkeys([*strings, *marked]))
        self.find: StopFn = stop_strings(self._strings, self._marked)

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say, up to the stop string if there is one."""
        if not self._marks:
            return text_before(self._decode(tokens), self._strings)
        before = text_before(self._marked(tokens), self._strings)
        # Complete tokens are decoded as one: a tokenizer may treat the beginning of a text in its own way.
        kept = next(n for n in range(len(tokens), -1, -1) if before.startswith(self._marked(tokens[:n])))
        rest = before[len(self._marked(tokens[:kept])) :]
        return self._decode(tokens[:kept]) + "".join(each for each in rest if each not in self._marks.values())

    def _marked(self, tokens: Sequence[int]) -> str:
        """The text of the tokens, with a mark for each special token that the strings name."""
        parts, start = [], 0
        for place, token in enumerate(tokens):
            if int(token) in self._marks:
                parts += [self._decode(tokens[start:place]) if place > start else "", self._marks[int(token)]]
                start = place + 1
        return "".join([*parts, self._decode(tokens[start:]) if start < len(tokens) else ""])


def stop_strings(strings: Sequence[str], decode: DecodeFn) -> StopFn:
    """Makes the ``stop`` of ``run_jobs``: a text ends with the token that completes the first of ``strings``.

    Args:
      strings: texts that are not empty; without any, no text ends by them.
      decode: turns token ids into text, for instance :meth:`jaxalign.data.Tokenizer.decode`.

    Returns:
      ``stop(tokens)``: after how many of them the text ends, None if it goes on.

    Raises:
      ValueError: ``strings`` is no list of texts that are not empty.

    >>> stop_strings(["\\n\\n"], lambda ids: "".join(map(chr, ids)))([65, 10, 10, 66])
    3
    """
    _check(strings)
    if not strings:
        return never

    def complete(tokens):
        text = decode(tokens)
        return any(string in text for string in strings)

    def stop(tokens: Sequence[int]) -> int | None:
        if not complete(tokens):
            return None
        # Once complete, a longer text is complete too.
        return bisect.bisect_left(range(len(tokens)), True, key=lambda count: complete(tokens[:count]))

    return stop


def text_before(text: str, strings: Sequence[str]) -> str:
    """Returns ``text`` up to whichever of ``strings`` begins first, all of it if none does.

    Args:
      text: what a model wrote.
      strings: texts that are not empty.

    Raises:
      ValueError: ``strings`` is no list of texts that are not empty.
    """
    _check(strings)
    found = [text.find(string) for string in strings]
    return text[: min((place for place in found if place >= 0), default=len(text))]


def _check(strings: Sequence[str]) -> None:
    if isinstance(strings, str) or "" in strings:
        raise ValueError(f"stop strings are a list of texts that are not empty, got {strings!r}")
