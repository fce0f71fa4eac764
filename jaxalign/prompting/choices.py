r"""The one of several answers that a text gives, by an explicit grammar; None where it is not clear.

An answer is read after a mark (``Answer:``, ``the answer is``, ``[[A]]``, ``\boxed{A}``, ``<answer>``, a JSON field),
and the last mark counts; or it is how a text begins. :mod:`jaxalign.prompting.beginnings` says what is read there.
"""

import bisect
import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxalign.prompting.beginnings import Names, Value, read_beginning, read_whole
from jaxalign.prompting.json_end import json_at_end
from jaxalign.prompting.names import plain
from jaxalign.prompting.thinking import final_text

_MOST_MARKS = 100  # that are looked at, the last ones: models repeat themselves without an end
_GLANCE = 300  # characters before a mark that are

_SUPERLATIVES = r"(?:better|best|preferred|correct|chosen|winning|right)"
_THINGS = r"(?:one|response|text|answer|summary|option|choice|assistant|model|output|candidate|passage)"
OPTION_KEYS = rf"(?:answer|(?:final|my)[\s_]+(?:choice|option)|{_SUPERLATIVES}[\s_]+{_THINGS})"
"""How the answer to a question is announced."""
VERDICT_KEYS = (
    rf"(?:answer|verdict|winner|choice|decision|judge?ment|preference|conclusion|{_SUPERLATIVES}[\s_]+{_THINGS})"
)
"""How a judge's verdict is."""
_ADJECTIVES = r"(?:(?:final|overall|correct|right|best|better|actual|true|single|most\s+likely)[\s_]+)*"
_IS = r"(?:is|are|would\s+be|must\s+be|should\s+be|will\s+be|remains|goes\s+to|has\s+to\s+be)"
_BOX = re.compile(r"\\boxed\s*\{([^{}\n]*)\}|\[\[([^\[\]\n]*)\]\]")
# Before a mark: nothing that makes it another one's answer ("A's answer:", "student answer:"), and no denial.
_BEFORE_A_MARK = re.compile(
    r"(?:^|[^\w'\s]|'(?=\S)|\b(?:the|my|our|so|thus|hence|therefore|and|then|overall|is|says|with|say|now))\W*$",
    re.IGNORECASE,
)
_DETERMINED = re.compile(r"\W*(?:the|my|our)\b", re.IGNORECASE)
_UNSAID = re.compile(
    r"(?:\b(?:not|never|doubt|whether|if|cannot|unlikely|unclear|says|claims?|argue|wonder)|n't)\s+(?:[\w']+\s+){0,4}\W*$"
    r"|^\W*(?:if|unless|suppose|assuming|when)\b|\bor\s+\"?$",
    re.IGNORECASE,
)


class _Forms(NamedTuple):
    """Regular expressions of the marks that some keys make."""

    marks: tuple[re.Pattern, ...]  # the answer stands behind them
    tag: re.Pattern
    field: re.Pattern  # of JSON


@functools.lru_cache
def _forms(keys: str) -> _Forms:
    says = (
        rf"(?:\b(?:the|my|our|final|correct|right|best|overall)\s+{_ADJECTIVES}|^[^\w\n]*|(?<=[.!?]\s)){keys}\s+{_IS}\b\s*"
        r"(?:that\s+)?"
    )
    colon = rf"(?<![\w-]){_ADJECTIVES}(?:{keys}|final)\"?'?\s*(?:{_IS}\s*)?:+\s*"
    heading = rf"^[^\w\n]*{_ADJECTIVES}{keys}[ \t]*\n\s*"
    marks = tuple(re.compile(form, re.IGNORECASE | re.MULTILINE) for form in (says, colon, heading))
    tag = re.compile(rf"<\s*({_ADJECTIVES}{keys})\s*>(.*?)<\s*/\s*\1\s*>", re.IGNORECASE | re.DOTALL)
    return _Forms(marks, tag, re.compile(rf"{_ADJECTIVES}{keys}|preferred|better|best", re.IGNORECASE))


class _Mark(NamedTuple):
    """The place where an answer is announced, and what it is; None if it cannot be read."""

    start: int
    end: int
    value: Value | None


def read_choice(text: str, names: Names) -> Value | None:
    r"""Reads which of several named answers a text gives: behind the last mark, or else at its beginning.

    A mark is ``Answer:``, ``the answer is``, ``[[A]]``, ``\boxed{A}``, ``<answer>`` or a JSON field.

    Args:
      text: as a model wrote it; thinking before the answer is not read.
      names: the names of the answers, from :func:`names_of_options`.

    Returns:
      The value of the answer's name; None if it is not clear that the text gives exactly one answer.

    >>> from jaxalign.prompting.names import names_of_options
    >>> letters = names_of_options((" A", " B"))
    >>> [read_choice(text, letters) for text in ("b", "The answer is A.", "A and B", "Answer: A? No. Answer: B")]
    [1, 0, None, 1]
    """
    said = final_text(text)
    if said is None:
        return None
    if (found := read_announced(said, names)) is None:
        return read_beginning(plain(said), names)
    begun = read_beginning(plain(said), names)
    return found[0] if begun in (None, found[0]) else None


def read_announced(said: str, names: Names, keys: str = OPTION_KEYS) -> tuple[Value | None] | None:
    """Reads the answer behind the last mark of a text, such as ``Answer:``.

    Args:
      said: what a model said after any thinking, see :func:`final_text`.
      names: the names of the answers, from :func:`names_of_options`.
      keys: a regular expression of the words that announce an answer, by default "answer", "final choice" and the like.

    Returns:
      A tuple with the value of the answer's name, or with None if the marked answer is not clear; None instead of a
      tuple if the text has no mark.
    """
    if (found := read_json(said, names, keys)) is not None:
        return found
    said = plain(said)
    marks = find_marks(said, names, keys)
    return (_read_marked(said, marks),) if marks else None


def find_marks(said: str, names: Names, keys: str) -> list[_Mark]:
    """Every mark of an answer in a text in plain form, in order."""
    places = {match.end(): match.start() for form in _forms(keys).marks for match in form.finditer(said)}
    stops = sorted(places.values())
    marks = [_Mark(*box, read_whole(content, names)) for *box, content in _boxes(said, keys)]
    for end, start in sorted(places.items())[-_MOST_MARKS:]:
        sentence = re.split(r"[.!?\n]", said[max(start - _GLANCE, 0) : start])[-1]
        if not (_DETERMINED.match(said, start) or _BEFORE_A_MARK.search(sentence)):
            continue
        until = next(iter(stops[bisect.bisect_left(stops, end) :]), len(said))
        value = None if _UNSAID.search(sentence) else read_beginning(said[end:until], names)
        if value is not None and re.match(r"[Aa]\s*$", said[end:until]) and not said[start:end].rstrip().endswith(":"):
            value = value if said[end] == "A" else None  # an article whose noun was cut off
        marks.append(_Mark(start, end, value))
    return sorted(marks, key=lambda mark: mark.end)


def _read_marked(said: str, marks: Sequence[_Mark]) -> Value | None:
    """The value of the last mark, unless its own sentence has marks with others."""
    last = marks[-1]
    rivals = [mark for mark in marks[:-1] if not re.search(r"[.!?;\n]", said[mark.end : last.start])]
    return None if any(mark.value not in (None, last.value) for mark in rivals) else last.value


def read_json(text: str, names: Names, keys: str) -> tuple[Value | None] | None:
    """The answer in the JSON object that a text ends with, in a tuple; None if it ends with no such object."""
    row = json_at_end(text, "{")
    values = [value for key, value in (row or {}).items() if _forms(keys).field.fullmatch(key.strip())]
    if not values:
        return None
    answers = {read_beginning(plain(value), names) if isinstance(value, str) else None for value in values}
    return (answers.pop(),) if len(answers) == 1 else (None,)


def _boxes(said: str, keys: str) -> Iterator[tuple[int, int, str]]:
    """Places and contents of what is boxed or tagged; of double brackets, which may be links, only short ones."""
    for match in _BOX.finditer(said):
        content = match[1] if match[1] is not None else match[2]
        if match[1] is not None or len(content.strip()) <= 12:
            yield match.start(), match.end(), content
    for match in _forms(keys).tag.finditer(said):
        yield match.start(), match.end(), match[2]
