"""What answers are called, and texts in the one form in which they are compared."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″`", '"'),
        **dict.fromkeys("‘’‚‛‹›′´", "'"),
        **dict.fromkeys("‐‑‒–−", "-"),
        "—": " - ",
        "―": " - ",
        "。": ". ",
        "，": ", ",
        "：": ": ",
        # Nobody sees these.
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad"),
    }
)
_LATEX = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|operatorname|rm|bf)\s*\{([^{}]*)\}")
_MARKDOWN = re.compile(r"(?<!\w)\*+|\*+(?!\w)|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)|^[ \t]*(?:#+|>)[ \t]+", re.MULTILINE)

NOUN = (
    r"(?:(?:the\s+)?(?:correct\s+|best\s+|better\s+)?(?:option|choice|answer|response|text|assistant|model|summary|"
    r"candidate|output|passage|version|comparison|explanation|letter|label)[\s_]*[:#]?\s*)"
)
"""What may stand before a letter or a number that names an answer."""


class Name(NamedTuple):
    """One way to name an answer.

    Attributes:
      pattern: a regular expression for it, whatever its case.
      value: the answer.
      label: it is a letter or a digit, which ``Option`` and its like may precede.
      mention: a regular expression for it within other words.
    """

    pattern: str
    value: float | int
    label: bool
    mention: str


def plain(text: str) -> str:
    """Returns a text without typography: one kind of quotes and dashes, no emphasis, no invisible characters.

    Args:
      text: any text that a model wrote.

    >>> plain("**Answer**：“Ａ”")
    'Answer: "A"'
    """
    text = text.translate(_CHARACTERS)
    text = unicodedata.normalize("NFKC", text)
    return _MARKDOWN.sub("", _LATEX.sub(r"\1", text.replace("\\(", "(").replace("\\)", ")")))


def bare(text: str) -> str:
    """Returns a text in :func:`plain` form without the blanks, quotes, brackets or full stop around it.

    Args:
      text: any text, for instance one option.
    """
    return plain(text).strip(" \t\n\r\"'([{<").rstrip(".,;:!?)]}>\"' \t\n\r")


def names_of_options(options: Sequence[str]) -> tuple[Name, ...]:
    """Returns the names of options, by which :func:`read_choice` finds them in a text.

    Args:
      options: the options as texts, such as ``" A"`` or ``" Yes"``; blanks and brackets around them do not count.

    Returns:
      One :class:`Name` for each option, with the option's place, from 0, as its value; a blank option has none.
    """
    return tuple(name_of(option, place) for place, option in enumerate(options) if bare(option))


def name_of(text: str, value: float | int) -> Name:
    """A text as the name of an answer."""
    text = bare(text)
    words = r"\s+".join(map(re.escape, text.split()))
    before, after = r"(?<!\w)" if text[0].isalnum() else "", r"(?!\w)" if text[-1].isalnum() else ""
    if len(text) == 1 and text.isalnum():
        # Within other words "a" is an article and "I" is a person.
        mention = "(?!)" if text in "Ii" else rf"(?<![\w'])(?-i:{words.upper()})(?!\w)"
        return Name(words + after, value, True, mention)
    # "No doubt" does not say No.
    ending = r"(?=\s*(?:[,.;:!?)\"'\n]|$))" if text.casefold() == "no" else after
    return Name(words + after, value, False, before + words + ending)
