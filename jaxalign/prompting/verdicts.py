"""Which of two texts, called A and B, a judge prefers in writing."""

import re

from jaxalign.prompting.choices import VERDICT_KEYS, read_announced
from jaxalign.prompting.names import NOUN, Name, name_of, plain
from jaxalign.prompting.thinking import final_text

_THINGS = (
    r"(?:responses?|texts?|answers?|summary|summaries|options?|ones?|choices?|assistants?|models?|outputs?|passages?)"
)
_A_AND_B = rf"(?:{NOUN}?A\s+(?:and|&)\s+{NOUN}?B|{NOUN}?B\s+(?:and|&)\s+{NOUN}?A)"
_BOTH = (
    rf"(?:both(?:\s+{_THINGS}|\s+of\s+them)?|(?:both\s+)?{_A_AND_B}|they|the\s+two(?:\s+{_THINGS})?|"
    rf"(?:the|these)\s+{_THINGS})"
)
_EQUAL = (
    r"(?:about\s+|roughly\s+|basically\s+|essentially\s+|all\s+)?(?:equal(?:ly\s+[\w-]+)?|tied|the\s+same|identical|"
    r"equivalent|comparable|on\s+(?:a\s+)?par|of\s+(?:equal|the\s+same)\s+quality)(?:\s+in\s+quality)?"
)
_BETWEEN = rf"(?:\s+between\s+(?:{_A_AND_B}|the\s+two(?:\s+{_THINGS})?|them|both(?:\s+{_THINGS})?))?"
_TIE_SENTENCES = (
    rf"(?:it|this)(?:'s|\s+is|\s+was)\s+(?:basically\s+|essentially\s+)?an?\s+(?:tie|draw|toss-?up){_BETWEEN}(?!\w)",
    rf"{_BOTH}\s+(?:are|were)\s+{_EQUAL}(?!\w)",
    rf"neither\s+(?:{_THINGS}\s+|of\s+them\s+)?is\s+(?:clearly\s+|really\s+|any\s+)?better(?:\s+than\s+the\s+other)?(?!\w)",
    r"there\s+is\s+no\s+(?:clear\s+)?(?:winner|difference(?:\s+in\s+quality)?)(?!\w)",
)
_TIE_WORDS = (
    rf"(?:call\s+it\s+|declare\s+)?(?:an?\s+)?(?:tie|draw|tied|toss-?up|equal(?:ly\s+[\w-]+)?){_BETWEEN}(?!\w)",
    rf"{_BOTH}\s+are\s+(?:very\s+|quite\s+)?(?:good|fine|great|bad|poor|wrong|correct|right|acceptable)(?!\w)",
    rf"neither(?:\s+{NOUN}?A\s+nor\s+{NOUN}?B|\s+{NOUN}?B\s+nor\s+{NOUN}?A|\s+of\s+them)?(?:\s+is\s+good)?(?!\w)",
    rf"both(?:\s+{_THINGS}|\s+of\s+them|\s+{_A_AND_B})?(?!\w)",
    r"(?:A\s*={1,2}\s*B|B\s*={1,2}\s*A)(?!\w)",
    r"no\s+(?:clear\s+)?(?:winner|preference|difference)(?!\w)",
)
_TIE_MENTION = r"\b(?:tie|tied|draw|toss-?up|equally)\b"
_NEVER = "(?!)"


def _ordinal(word: str, value: float) -> Name:
    """ "the first", "first response"; a bare "first" begins a list as well, so that it counts alone only."""
    pattern = rf"(?:the\s+{word}(?:\s+{_THINGS})?|{word}\s+{_THINGS}|{word}(?=\W*\Z))(?!\w)"
    return Name(pattern, value, False, rf"\b(?:the\s+{word}|{word}\s+{_THINGS})\b")


_TIES = tuple(Name(pattern, 0.5, False, _TIE_MENTION) for pattern in _TIE_SENTENCES)
_NAMES = (
    name_of("A", 1.0),
    name_of("B", 0.0),
    _ordinal("first", 1.0),
    _ordinal("second", 0.0),
    *(Name(rf"{a}\s*{sign}\s*{b}(?!\w)", value, False, _NEVER) for a, b, sign, value in (
        ("A", "B", ">{1,2}", 1.0),
        ("B", "A", ">{1,2}", 0.0),
        ("A", "B", "<{1,2}", 0.0),
        ("B", "A", "<{1,2}", 1.0),
    )),
    *_TIES,
    *(Name(pattern, 0.5, False, _TIE_MENTION) for pattern in _TIE_WORDS),
)  # fmt: skip

_CONCLUSION = (
    r"^\W*(?:(?:overall|in\s+(?:conclusion|summary|short|the\s+end)|therefore|thus|so|hence|to\s+conclude|all\s+in\s+all|"
    r"on\s+balance|finally|ultimately|after\s+all|all\s+things\s+considered),?\s+)?(?:i\s+(?:think|believe|find)\s+(?:that\s+)?)?"
)
_LIKED, _RIVAL = (rf"(?i:{NOUN})?[\"'(\[]{{0,4}}(?P<{group}>[AB])[\"')\]]{{0,4}}(?!\w)" for group in ("one", "other"))
_BETTER = (
    r"(?:is|was)\s+(?:(?:clearly|slightly|much|far|somewhat|marginally|overall|definitely|significantly|considerably|the|a\s+bit|"
    r"a\s+little|by\s+far)\s+)*(?:better|best|superior|preferable|preferred|stronger|winner)"
    rf"(?:\s+{_THINGS})?(?:\s+overall|\s+here)?"
)
_OTHER = rf"(?:\s+(?:than|over|to)\s+(?:{_RIVAL}|the\s+other(?:\s+{_THINGS})?))?"
_STATEMENTS = [
    re.compile(rf"(?i:{_CONCLUSION}){form}\W*$")
    for form in (
        rf"(?:[Tt]he\s+)?{_LIKED}\s+(?:{_BETTER}|wins){_OTHER}",
        rf"(?:I|i)(?:'d|\s+would|\s+will)?\s+(?:prefer|choose|pick|select|favou?r|vote\s+for|go\s+with)\s+{_LIKED}{_OTHER}",
    )
]
_TIE_STATEMENTS = [re.compile(rf"(?i:{_CONCLUSION}(?:{form}))\W*$") for form in _TIE_SENTENCES]


def parse_verdict(text: str) -> float | None:
    """Reads which of two texts, A or B, a judge prefers in writing.

    The verdict stands behind the last mark, such as ``Answer:``, ``[[A]]`` or a JSON field. Without any mark, a
    sentence that says no more than which is better is one, if no other sentence says otherwise.

    Args:
      text: as the judge wrote it; thinking before the answer is not read.

    Returns:
      1 for A, 0 for B, one half for a tie; None for anything that is not clearly one of them.

    >>> [parse_verdict(text) for text in ("The answer is a tie.", "Answer: A is worse", "Overall, B is better than A.")]
    [0.5, None, 0.0]
    """
    said = final_text(text)
    if said is None:
        return None
    if (found := read_announced(said, _NAMES, VERDICT_KEYS)) is not None:
        return found[0]
    said = plain(said)
    stated = {value for sentence in _sentences(said) if (value := _read_statement(sentence)) is not None}
    last = _read_statement(_sentences(said)[-1]) if said.strip() else None
    return last if stated == {last} else None


def _sentences(said: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n+", said.strip()) if sentence.strip()]


def _read_statement(sentence: str) -> float | None:
    if sentence.rstrip().endswith("?"):
        return None
    for form in _STATEMENTS:
        if found := form.match(sentence):
            return None if found["other"] == found["one"] else float(found["one"] == "A")
    return 0.5 if any(form.match(sentence) for form in _TIE_STATEMENTS) else None
