"""The classes that a model names in its answer: one on a line, in quotes, behind commas, in a list or in a sentence.

A line that is no sentence is cut at commas, semicolons, bars, arrows and dashes; neighbouring pieces that are a name
together are one (``toys, games``). Of a sentence what stands behind ``is``, ``category`` and the like is read, up to
its end, or else what it has in quotes. A name elsewhere in a sentence is none: it may be what the document is about.
What is denied is not read, and neither is ``A or B``, which does not decide.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from jaxalign.prompting import Spellings, bare, final_text, parse_list, plain
from jaxalign.prompting.json_end import json_at_end

_STRONG = re.compile(r"\s*[,;|>→]\s*|\s+-+\s+")
_AND = re.compile(r"\s*[/&+]\s*|\s+(?:and|as\s+well\s+as)\s+", re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"\n]+)\"|(?<!\w)'([^'\n]+)'(?!\w)")
_SENTENCE = re.compile(
    r"\b(?:is|are|was|were|be|been|falls?|belongs?|fits?|seems?|appears?|would|could|can|cannot|should|provided?|chosen?|"
    r"classified|categori[sz]ed?|selected|sorry|please|this|you|your|based|not)\b|\b(?:I|i)(?:'m|'d|'ll|\s+[a-z])|n't\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|nor|neither|never|(?:rather|other)\s+than|instead\s+of|except|unlike|without)\b|n't\b)"
    r".*?(?=\bbut\b|[,;:]|\.\s|\.?$)",
    re.IGNORECASE,
)
_KIND = r"(?:categor(?:y|ies)|class(?:es)?|labels?|topics?|types?)"
_SAYS = re.compile(rf"\b(?:is|are|be|under|to|in|into|as|but|{_KIND}(?:\s+of)?)\b\s*:?\s*|:\s+", re.IGNORECASE)
_END = re.compile(r"[.!?](?=\s|$)")
_BEFORE = re.compile(rf"(?:(?:and|both|the|a|an)\s+)*(?:{_KIND}\s+(?:of\s+)?)?", re.IGNORECASE)
_BEHIND = re.compile(rf"(?:\s*\([^()]*\)?|\s+(?:product\s+)?{_KIND}|\s+because\b.*)$", re.IGNORECASE)
_NOTHING = re.compile(r"(?:none|nothing|n/?a|not applicable)\b|no\s+(?:\w+\s+)?(?:class|categor)", re.IGNORECASE)
_MOST_WORDS = 6  # of a name that is not known: what is longer is a sentence
_MOST_PIECES = 6  # that are one name together
_LONGEST_SENTENCE = 1000  # characters: models repeat themselves without an end, and marks times pieces take time

_AND_WORD = re.compile(r"\band\b|&", re.IGNORECASE)

Find = Callable[[str], Hashable | None]
Read = list[tuple[Hashable | None, str]]  # what is meant, None if nobody knows, and as it is written


class Named(NamedTuple):
    """What an answer names.

    Attributes:
      found: the things whose names it says, in order, each once.
      unknown: the other names that it says, as it writes them, each once.
    """

    found: tuple[Any, ...]
    unknown: tuple[str, ...]


def parse_named(text: str, spellings: Spellings) -> Named:
    """Reads which of several things an answer names, and what else; case, quotes and marks do not count.

    Args:
      text: as a model wrote it; thinking before the answer is not read.
      spellings: the things by their names.

    Returns:
      Both in the order of the answer. A sentence that names nothing, such as a refusal, has neither.

    >>> things = Spellings({1: ["toys, games"], 2: ["dogs"], 3: ["cats"]})
    >>> parse_named('"Toys, games", dogs, "hamsters".', things)
    Named(found=(1, 2), unknown=('hamsters',))
    >>> parse_named("The category of this review about dogs is cats.", things).found
    (3,)
    """
    # One blank or one end of a line at a time: a thousand of them would be slow to match.
    said = "\n".join(" ".join(line.split()) for line in (final_text(text) or "").splitlines() if line.strip())
    find = _finder(spellings)
    read = [each for line in _lines(said, find) for each in _read_line(line, find)]
    unknown = {written.casefold(): written for key, written in read if key is None}
    return Named(tuple(dict.fromkeys(key for key, _ in read if key is not None)), tuple(unknown.values()))


def without_and(name: str) -> str:
    """Returns a name without "and" and "&", which taxonomies often leave out of their labels.

    Args:
      name: of a class.

    >>> without_and("toys and games")
    'toys games'
    """
    return " ".join(_AND_WORD.sub(" ", name).split())


def _finder(spellings: Spellings) -> Find:
    def find(text: str) -> Hashable | None:
        text = text.strip()
        if (found := spellings.find(text)) is None:
            found = spellings.find(bare(text))
        if found is None:
            found = spellings.find(without_and(bare(text)))
        if found is None and (inner := _BEHIND.sub("", _BEFORE.sub("", bare(text), count=1))):
            found = spellings.find(bare(inner))
        return found

    return find


def _lines(said: str, find: Find) -> Iterable[str]:
    if find(said) is not None:
        return [said]
    if row := json_at_end(said, "{"):
        values = [each for value in row.values() for each in (value if isinstance(value, list) else [value])]
        return [value for value in values if isinstance(value, str)]
    return [plain(line).strip() for line in parse_list(said) or said.splitlines()]


def _read_line(line: str, find: Find) -> Read:
    if (whole := find(line)) is not None:
        return [(whole, bare(line))]
    if _NOTHING.match(bare(line)):
        return []
    listed = _read_pieces(line, find)
    if all(key is not None for key, _ in listed) or not _SENTENCE.search(_QUOTED.sub(" ", line)):
        return [(key, written) for key, written in listed if key is not None or _is_name(written)]
    sentences = (each for each in _sentences(_DENIED.sub(" ", line)) if len(each) <= _LONGEST_SENTENCE)
    return [each for sentence in sentences for each in _read_sentence(sentence, find)]


def _read_pieces(text: str, find: Find) -> Read:
    """What the pieces of a list between commas and the like mean; the longest run of pieces that is a name is one."""
    ends = list(_STRONG.finditer(text))
    starts, stops = [0, *(end.end() for end in ends)], [*(end.start() for end in ends), len(text)]
    read: Read = []
    place = 0
    while place < len(starts):
        for last in range(min(place + _MOST_PIECES, len(starts)) - 1, place, -1):
            joined = text[starts[place] : stops[last]]
            if (key := find(joined)) is not None:
                read.append((key, bare(joined)))
                place = last
                break
        else:
            read += _read_piece(text[starts[place] : stops[place]], find)
        place += 1
    return read


def _read_piece(piece: str, find: Find) -> Read:
    """What one piece means: a name, names that ``and`` joins, or a name before or behind a colon."""
    if (key := find(piece)) is not None or not bare(piece):
        return [(key, bare(piece))] if bare(piece) else []
    before, colon, behind = piece.partition(":")
    if colon:
        parts = [(find(part), bare(part)) for part in (before, *_AND.split(behind)) if bare(part)]
    else:
        parts = [(find(part), bare(part)) for part in _AND.split(piece) if bare(part)]
    found = [part for part in parts if part[0] is not None]
    return found if found and (colon or len(found) == len(parts)) else [(None, bare(piece))]


def _read_sentence(sentence: str, find: Find) -> Read:
    unread: Read = []
    for mark in _SAYS.finditer(sentence):
        listed = _read_pieces(sentence[mark.end() :], find)
        if listed and listed[0][0] is not None:
            return [(key, written) for key, written in listed if key is not None]
        if listed and _QUOTED.fullmatch(sentence[mark.end() :].strip()):
            unread = listed
    quoted = [(find(match[0]), bare(match[0])) for match in _QUOTED.finditer(sentence)]
    return [(key, written) for key, written in quoted if key is not None] or unread


def _sentences(line: str) -> Iterator[str]:
    """The sentences of a line; a full stop within quotes at the end belongs to the sentence, not to the quote."""
    line = re.sub(r"([.!?])([\"'])(?=\s|$)", r"\2\1", line)
    return (each.strip() for each in _END.split(line) if each.strip())


def _is_name(written: str) -> bool:
    return 0 < len(written.split()) <= _MOST_WORDS
