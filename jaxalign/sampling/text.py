"""Stop strings. Inside ``jit`` only ids can be matched, and a string may lie across tokens: text is looked at outside.

``decode`` turns token ids into text, for instance :meth:`jaxalign.data.Tokenizer.decode`.
"""

import bisect
from collections.abc import Callable, Sequence

from jaxalign.sampling.jobs import StopFn

DecodeFn = Callable[[Sequence[int]], str]


def stop_strings(strings: Sequence[str], decode: DecodeFn) -> StopFn:
    """A :data:`StopFn` for ``run_jobs``: a text ends with the token that completes the first of ``strings``.

    >>> stop_strings(["\\n\\n"], lambda ids: "".join(map(chr, ids)))([65, 10, 10, 66])
    3
    """
    _check(strings)

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
    """``text`` up to whichever of ``strings`` begins first, all of it if none does."""
    _check(strings)
    found = [text.find(string) for string in strings]
    return text[: min((place for place in found if place >= 0), default=len(text))]


def _check(strings: Sequence[str]) -> None:
    if isinstance(strings, str) or "" in strings:
        raise ValueError(f"stop strings are a list of texts that are not empty, got {strings!r}")
