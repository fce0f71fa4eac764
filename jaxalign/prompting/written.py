"""What a model wrote, as data: a list of values, or one document; or the reason why there is none.

Refusals and chat preambles go by their form. A review that says sorry, a text that ends in a question and a list of
three-dimensional things stay what they are.
"""

import re
from typing import NamedTuple

from jaxalign.prompting.lists import parse_list
from jaxalign.prompting.refusals import is_refusal
from jaxalign.prompting.thinking import final_text

_OPENING = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok)"
_PREAMBLE = re.compile(
    rf"{_OPENING}[.!:]|(?:{_OPENING}[,.!]|as an ai\b|here(?:'s|’s| is| are)\b|(?:this|below) is\b)[^\n]{{0,200}}:",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|__)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_AROUND = (("\"", "\""), ("“", "”"), ("'", "'"), ("`", "`"))  # fmt: skip


class ParsedDocument(NamedTuple):
    """A document as a model wrote it, or why there is none.

    Attributes:
      text: the document; None if there is none.
      reason: ``"empty"``, ``"refused"`` or ``"unfinished thinking"``; "" if there is a text.
      preamble: a chat's sentence before the document, which is not part of it; "" for none.
    """

    text: str | None
    reason: str = ""
    preamble: str = ""


def parse_values(text: str) -> tuple[str, ...]:
    """Reads the distinct items of a numbered, bulleted or quoted list, without quotes or emphasis around them.

    Args:
      text: as the model wrote it; thinking before the answer is not read, nor lines that are no items.

    Returns:
      The values in order; of two that differ in case only, the first. () if there is no list.

    >>> parse_values('Sure! Here are some:\\n1. "3D printing"\\n2. **2K Games**\\n3. "1984" by George Orwell')
    ('3D printing', '2K Games', '"1984" by George Orwell')
    """
    distinct: dict[str, str] = {}
    for item in parse_list(text):
        if value := _bare(item):
            distinct.setdefault(value.casefold(), value)
    return tuple(distinct.values())


def parse_document(text: str) -> ParsedDocument:
    """Reads a document: what stands after any thinking, without a chat's first sentence and quotes around it all.

    Args:
      text: as the model wrote it.

    Returns:
      The document, or the reason why there is none.

    >>> parse_document("Sure! Here is a review:\\n\\nSorry, but this film is dull.").text
    'Sorry, but this film is dull.'
    >>> parse_document("I'm sorry, but I can't help with that.").reason
    'refused'
    """
    said = final_text(text)
    if said is None:
        return ParsedDocument(None, "unfinished thinking")
    said = said.strip()
    if not said:
        return ParsedDocument(None, "empty")
    if is_refusal(said):
        return ParsedDocument(None, "refused")
    first, _, rest = said.partition("\n")
    preamble = first.strip() if _PREAMBLE.fullmatch(first.strip()) else ""
    document = _bare((rest if preamble else said).strip())
    return ParsedDocument(document, "", preamble) if document else ParsedDocument(None, "empty", preamble)


def _bare(text: str) -> str:
    """A text without quotes around all of it, and without marks of emphasis."""
    text = _EMPHASIS.sub(r"\2", text.strip())
    for opening, closing in _AROUND:
        inner = text[len(opening) : -len(closing)]
        if (
            text.startswith(opening)
            and text.endswith(closing)
            and inner.strip()
            and not {opening, closing} & set(inner)
        ):
            return inner.strip()
    return text
