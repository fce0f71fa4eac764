r"""The one of several answers that a text gives, by an explicit grammar; None where it is not clear.

An answer is read after a mark (``Answer:``, ``the answer is``, ``[[A]]``, ``\boxed{A}``, ``<answer>``, a JSON field),
and the last mark counts; or it is how a text begins. What is read there is a name of the answer, alone or with a reason
behind it. "A and B", "A's", "A is worse", "not A", "A?", "A if ..." name no answer, and an answer that is taken back or
contradicted in what follows is none either, unless another one is given in its place.
"""

import bisect
import functools
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.prompting.names import NOUN, Name, plain
from jaxalign.prompting.thinking import final_text

Value = float | int
_MOST_MARKS = 100  # that are looked at, the last ones: models repeat themselves without an end
_GLANCE = 300  # characters before a mark that are
Names = tuple[Name, ...]

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

_OPENING = re.compile(r"[\s\"'(\[{<$\\]*+")
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|overall|ultimately|finally|clearly|definitely|certainly|probably|obviously|simply|"
    r"likely|most\s+likely|that|i\s+think|i\s+believe|i(?:'d|\s+would)\s+say)\b[,:]?\s+)+",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"[\"')\]}>$]*")
_REASON = r"because|since|as|due\s+to|given"
_COMPARED = re.compile(r"\s+(?:for|over|rather\s+than|instead\s+of)\b", re.IGNORECASE)
_GOOD = r"(?:better|best|superior|preferable|preferred|correct|right|stronger|the\s+winner)"
_ADVERBS = (
    r"(?:(?:clearly|slightly|much|far|somewhat|marginally|overall|actually|still|indeed|definitely|certainly|probably|"
    r"significantly|considerably|obviously|a\s+bit|a\s+little|by\s+far|generally)\s+)*"
)
_STATED = re.compile(
    rf"\s+(?:(?:is|was|would\s+be|seems(?:\s+to\s+be)?)\s+{_ADVERBS}(?:the\s+{_ADVERBS})?{_GOOD}"
    r"(?:\s+(?:one|response|text|answer|summary|option|choice|output|assistant|candidate|passage|model))?(?:\s+overall)?"
    rf"|wins)(?=\s*(?:[.,;:!\n)]|$)|\s+(?:than|for|{_REASON})\b)",
    re.IGNORECASE,
)
_BOUNDARY = re.compile(
    rf"\s*$|[ \t]*\n|(?:[.;](?!\.)|!+)(?=[\s\"')\]}}<]|$)|,(?=\s|$)|:(?=\s|$)|\s+-+\s|\s*\(|\s*</|\s*\||\s*\}}"
    rf"|\s+(?:{_REASON})\b",
    re.IGNORECASE,
)
# After a letter in brackets its text may follow, but no word that makes it part of a sentence.
_WORDS_OF_SENTENCES = re.compile(
    r"\s+(?:is|are|was|were|isn't|has|had|have|does|do|did|would|could|should|may|might|can|cannot|can't|will|won't|"
    r"seems?|looks?|and|or|nor|but|vs|versus|than|if|unless|with|without|minus|plus|to|of|in|on|at|also|too|then)\b"
    r"|\s*[/&+=<>|~^]|\s*['-]",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^\n.!?;]*(?:\.(?=\w)[^\n.!?;]*)*")
_CONDITION = re.compile(r"\b(?:if|unless|depend\w*|assuming|provided|otherwise|maybe|perhaps)\b", re.IGNORECASE)
_FAULT = re.compile(
    r"\W*(?:(?:which|it|that|this)\s+)?(?:is|was|would\s+be|seems)\s+(?:\w+\s+){0,2}?(?:worse|worst|wrong|incorrect|"
    r"inferior|weaker|not|false)\b",
    re.IGNORECASE,
)
_TIE = re.compile(r"\W*(?:an?\s+)?(?:tie|tied|draw|equal)\b", re.IGNORECASE)
_CORRECTION = re.compile(
    r"(?:^|[.!?;,:(\n-])\s*(?:(?:(?:but|and|oh|well|or|i(?:'ve|\s+have|\s+must|\s+need\s+to|\s+should)?)[,\s]+)*"
    r"(?:wait|actually|correction|scratch\s+that|(?:on\s+)?second\s+thoughts?|on\s+reflection|thinking\s+again|i\s+meant?|"
    r"mean|meant|sorry|my\s+mistake|my\s+bad|hold\s+on|hmm+|oops|no(?=[,.!:]|\s+wait|\s+-)|nope|not\s+quite|"
    r"chang(?:e|ed|ing)\s+my\s+(?:mind|answer)|reconsider\w*|let\s+me\s+(?:re\w*|think|check|correct)|edit(?=:)|"
    r"update(?=:)|revis\w+|make\s+that)\b[,.:!\s-]*)+",
    re.IGNORECASE,
)
_BEFORE_A_RIVAL = re.compile(
    rf"(?:\b(?:or|and|but|nor|else|then|otherwise|to|vs\.?|versus|also)|[/&,+=<>|-])\s*{NOUN}?[\"'(\[]{{0,4}}$",
    re.IGNORECASE,
)
_BEFORE_A_COMPARISON = re.compile(
    r"\b(?:because|since|as|than|over|for|not|unlike|whereas|while|of|given|between)\b", re.I
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
    """Where an answer is announced, and what it is; None if it cannot be read."""

    start: int
    end: int
    value: Value | None


def read_choice(text: str, names: Names) -> Value | None:
    """The answer behind the last mark, or else the one with which the text begins, after any thinking.

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
    """The answer behind the last mark of a final text, in a tuple; None if the text has no mark."""
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


def read_beginning(said: str, names: Names) -> Value | None:
    """The answer with which a text in plain form begins."""
    place = _OPENING.match(said).end()
    place = _OPENING.match(said, _lead_end(said, place)).end()
    found = _name_at(said, place, names)
    if found is None:
        return None
    name, end = found
    closing = _CLOSING.match(said, end)
    after = said[closing.end() :]
    if not _may_follow(name, said[end - 1 : end], closing[0], after):
        return None
    sentence = _SENTENCE.match(after)[0]
    return _settle(name, sentence, after[len(sentence) :], names)


def read_whole(said: str, names: Names) -> Value | None:
    """The answer that a text in plain form is, with nothing behind it but a mark."""
    value = read_beginning(said, names)
    place = _OPENING.match(said).end()
    found = _name_at(said, place, names)
    alone = found is not None and not said[found[1] :].strip(" \t\n\"')]}>$.!")
    return value if alone else None


def read_json(text: str, names: Names, keys: str) -> tuple[Value | None] | None:
    """The answer in the JSON object that a text ends with, in a tuple; None if it ends with no such object."""
    row = _last_object(text)
    values = [value for key, value in (row or {}).items() if _forms(keys).field.fullmatch(key.strip())]
    if not values:
        return None
    answers = {read_beginning(plain(value), names) if isinstance(value, str) else None for value in values}
    return (answers.pop(),) if len(answers) == 1 else (None,)


def _last_object(text: str) -> dict | None:
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\{", text):
        try:
            row, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if not text[end:].strip(" \n\t`*."):
            return row
    return None


def favours(names: Sequence[Name]) -> re.Pattern:
    """Statements that prefer one of the names."""
    return _favours(tuple(name.mention for name in names))


@functools.lru_cache(maxsize=4096)
def _favours(mentions: tuple[str, ...]) -> re.Pattern:
    one = "|".join(mentions) or "(?!)"
    return re.compile(
        rf"(?:{one})[\"')\]]{{0,4}}(?:'s\s+|\s+(?:is|was|would\s+be|seems|looks|remains)\s+)(?:[\w-]+\s+){{0,3}}?{_GOOD}\b"
        rf"|(?:{one})[\"')\]]{{0,4}}\s+(?:wins|won|beats)\b"
        rf"|(?:prefer|choose|pick|select|favou?r|go\s+with|went\s+with|going\s+with|vote\s+for|lean\s+towards?|"
        rf"(?:switch|change|changed)\s+(?:\w+\s+){{0,2}}to)\s+{NOUN}?[\"'(\[]{{0,4}}(?:{one})",
        re.IGNORECASE,
    )


def _lead_end(said: str, place: int) -> int:
    match = _LEAD.match(said, place)
    return match.end() if match else place


def _name_at(said: str, place: int, names: Names) -> tuple[Name, int] | None:
    """The longest name at a place, and where it ends; None if there is none, or several fit equally well."""
    found = []
    for name in names:
        before = rf"{NOUN}?[\"'(\[{{<$]{{0,4}}" if name.label else ""
        match = re.compile(rf"{before}(?P<name>{name.pattern})", re.IGNORECASE).match(said, place)
        if match:
            exact = re.fullmatch(name.pattern, match["name"]) is not None
            found.append((len(match["name"]), exact, name, match.end()))
    if not found:
        return None
    best = max((length, exact) for length, exact, *_ in found)
    fitting = [(name, end) for length, exact, name, end in found if (length, exact) == best]
    return fitting[0] if len({name.value for name, _ in fitting}) == 1 else None


def _may_follow(name: Name, letter: str, closing: str, after: str) -> bool:
    """Whether what stands behind a name leaves it an answer."""
    if _STATED.match(after):
        return True
    if name.label and letter in "Ii" and not closing and after.startswith((",", " ")):
        return False  # a person
    if _BOUNDARY.match(after) or (name.label and letter.isalpha() and _COMPARED.match(after)):
        return True
    bracketed = name.label and bool(re.search(r"[)\]]", closing))
    return bracketed and bool(re.match(r"\s+\S", after)) and not _WORDS_OF_SENTENCES.match(after)


def _settle(name: Name, sentence: str, rest: str, names: Names) -> Value | None:
    """The value of a name, in view of the rest of its sentence and of what follows."""
    if rest.startswith("?") or any(form.match(sentence) for form in (_FAULT, _TIE)) or _CONDITION.search(sentence):
        return None
    whole = sentence + rest
    if corrections := list(_CORRECTION.finditer(whole)):
        return read_beginning(whole[corrections[-1].end() :], names)
    rivals = [each for each in names if each.value != name.value]
    if not all(_is_aside(sentence[: match.start()]) for each in rivals for match in _mentions(each, sentence)):
        return None
    if favours(rivals).search(whole) or _is_denied(name, whole):
        return None
    return None if any(_stands_alone(each, rest) for each in rivals) else name.value


def _mentions(name: Name, sentence: str):
    return re.compile(name.mention, re.IGNORECASE).finditer(sentence)


def _is_aside(before: str) -> bool:
    """Whether another answer is named as what this one is compared with."""
    return bool(_BEFORE_A_COMPARISON.search(before)) and not _BEFORE_A_RIVAL.search(before)


def _is_denied(name: Name, text: str) -> bool:
    denial = (
        rf"{name.mention}[\"')\]]{{0,4}}\s+(?:isn't|loses|lost|(?:is|was)\s+(?:\w+\s+){{0,2}}?(?:worse|worst|wrong|incorrect|"
        r"inferior|weaker|not\s+(?:better|correct|right|the\b)))"
    )
    return bool(re.search(denial, text, re.IGNORECASE))


def _stands_alone(name: Name, rest: str) -> bool:
    """Whether a sentence that follows is another answer and nothing else, or begins a list of them."""
    one = rf"(?:^|[.!?;\n])[\s\"'(\[-]*(?:[\w ]{{1,30}}:\s*)?{NOUN}?[\"'(\[]{{0,4}}{name.pattern}[\"')\]]{{0,4}}\s*"
    ending = r"(?=[.!?;\n:=)]|$)" if name.label else r"(?=[.!?;\n]|$)"
    return bool(re.search(one + ending, rest, re.IGNORECASE))


def _boxes(said: str, keys: str):
    """Places and contents of what is boxed or tagged; of double brackets, which may be links, only short ones."""
    for match in _BOX.finditer(said):
        content = match[1] if match[1] is not None else match[2]
        if match[1] is not None or len(content.strip()) <= 12:
            yield match.start(), match.end(), content
    for match in _forms(keys).tag.finditer(said):
        yield match.start(), match.end(), match[2]
