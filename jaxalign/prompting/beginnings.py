r"""The answer with which a text begins: what may stand before its name and behind it, and what takes it back.

``"A."``, ``(b) because ...`` and ``I think A is better`` name an answer. "A and B", "A's", "A is worse", "not A", "A?"
and "A if ..." name none, and one that is taken back or contradicted in what follows is none either, unless another one
is given in its place.
"""

import functools
import re
from collections.abc import Iterator

from jaxalign.prompting.names import NOUN, Name

Value = float | int
Names = tuple[Name, ...]

_OPENING = re.compile(r"[\s\"'(\[{<$\\]*+")
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|overall|ultimately|finally|clearly|definitely|certainly|probably|obviously|simply|"
    r"likely|most\s+likely|that|it(?:'s|\s+is)|(?:it|that)\s+would\s+be|i\s+think|i\s+believe|i(?:'d|\s+would|\s+will)?\s+(?:say|prefer|choose|pick|select|go\s+with|"
    r"vote\s+for|favou?r))\b[,:]?\s+)+",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"[\"')\]}>$]*")
_REASON = r"because|since|as|due\s+to|given"
_COMPARED = re.compile(r"\s+(?:over|rather\s+than|instead\s+of)\b", re.IGNORECASE)
_GOOD = r"(?:better|best|superior|preferable|preferred|correct|right|stronger|the\s+winner)"
_ADVERBS = (
    r"(?:(?:clearly|slightly|much|far|somewhat|marginally|overall|actually|still|indeed|definitely|certainly|probably|"
    r"significantly|considerably|obviously|a\s+bit|a\s+little|by\s+far|generally)\s+)*"
)
_STATED = re.compile(
    rf"\s+(?:(?:is|was|would\s+be|seems(?:\s+to\s+be)?)\s+{_ADVERBS}(?:the\s+{_ADVERBS})?{_GOOD}"
    r"(?:\s+(?:one|response|text|answer|summary|option|choice|output|assistant|candidate|passage|model))?(?:\s+overall)?"
    rf"|wins)(?=\s*(?:[.,;:!\n)]|$)|\s+(?:than|for|over|to|{_REASON})\b)",
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
_TIE = re.compile(
    r"\W*(?:(?:an?\s+)?(?:tie|tied|draw|equal)|(?:is\s+)?(?:just\s+|about\s+)?as\s+\w+\s+as)\b", re.IGNORECASE
)
_CORRECTION = re.compile(
    r"(?:^|[.!?;,:(\n-])\s*(?:(?:(?:but|and|oh|well|or|i(?:'ve|\s+have|\s+must|\s+need\s+to|\s+should)?)[,\s]+)*"
    r"(?:wait|actually|correction|scratch\s+that|(?:on\s+)?second\s+thoughts?|on\s+reflection|thinking\s+again|i\s+meant?|"
    r"mean|meant|sorry|my\s+mistake|my\s+bad|hold\s+on|hmm+|oops|no(?=[,.!:]|\s+wait|\s+-)|nope|not\s+quite|"
    r"chang(?:e|ed|ing)\s+my\s+(?:mind|answer)|reconsider\w*|let\s+me\s+(?:re\w*|think|check|correct)|edit(?=:)|"
    r"update(?=:)|revis\w+|make\s+that)\b[,.:!\s-]*)+",
    re.IGNORECASE,
)
_BEFORE_A_RIVAL = re.compile(
    rf"(?:\b(?:or|and|but|nor|else|then|otherwise|vs\.?|versus|also)|[/&,+=<>|-])\s*{NOUN}?[\"'(\[]{{0,4}}$",
    re.IGNORECASE,
)
_BEFORE_A_COMPARISON = re.compile(
    r"\b(?:because|since|as|than|over|for|not|unlike|whereas|while|of|given|between|(?:superior|preferred|preferable|compared)\s+to)\b",
    re.I,
)


def read_beginning(said: str, names: Names) -> Value | None:
    """The answer with which a text in plain form begins."""
    start = _OPENING.match(said).end()
    led = _lead_end(said, start)
    found = _name_at(said, _OPENING.match(said, led).end(), names)
    if found is None or (led > start and said[led : found[1]] == "a"):  # "it is a" is cut off before its noun
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


@functools.lru_cache(maxsize=4096)
def _favours(mentions: tuple[str, ...]) -> re.Pattern:
    """Statements that prefer one of some names."""
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
    """Says whether what stands behind a name leaves it an answer."""
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
    if _favours(tuple(name.mention for name in rivals)).search(whole) or _is_denied(name, whole):
        return None
    return None if any(_stands_alone(each, rest) for each in rivals) else name.value


def _mentions(name: Name, sentence: str) -> Iterator[re.Match]:
    return re.compile(name.mention, re.IGNORECASE).finditer(sentence)


def _is_aside(before: str) -> bool:
    """Says whether another answer is named as what this one is compared with."""
    return bool(_BEFORE_A_COMPARISON.search(before)) and not _BEFORE_A_RIVAL.search(before)


def _is_denied(name: Name, text: str) -> bool:
    denial = (
        rf"{name.mention}[\"')\]]{{0,4}}\s+(?:isn't|loses|lost|(?:is|was)\s+(?:\w+\s+){{0,2}}?(?:worse|worst|wrong|incorrect|"
        r"inferior|weaker|not\s+(?:better|correct|right|the\b)))"
    )
    return bool(re.search(denial, text, re.IGNORECASE))


def _stands_alone(name: Name, rest: str) -> bool:
    """Says whether a sentence that follows is another answer and nothing else, or begins a list of them."""
    one = rf"(?:^|[.!?;\n])[\s\"'(\[-]*(?:[\w ]{{1,30}}:\s*)?{NOUN}?[\"'(\[]{{0,4}}{name.pattern}[\"')\]]{{0,4}}\s*"
    more = r"(?:for|if|otherwise|when|in|on|too|also|as|either|equally|maybe|perhaps|instead)\b"
    ending = rf"(?=[.!?;\n:=)]|$|{more})" if name.label else r"(?=[.!?;\n]|$)"
    return bool(re.search(one + ending, rest, re.IGNORECASE))
