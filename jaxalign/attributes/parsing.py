"""What a model wrote, as data: values, classes, yes or no, and documents; or the reason why there is none.

Refusals and chat preambles go by their form. A review that says sorry, a text that ends in a question and a list of
three-dimensional things stay what they are.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign.attributes.refusals import is_refusal
from jaxalign.attributes.task import Task
from jaxalign.prompting import Spellings, final_text, parse_list
from jaxalign.prompting.choices import read_choice
from jaxalign.prompting.names import name_of

_YES_NO = (name_of("Yes", 1), name_of("No", 0))
_WITH_DIGITS = (*_YES_NO, name_of("1", 1), name_of("0", 0))
_OPENING = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok)"
_PREAMBLE = re.compile(
    rf"{_OPENING}[.!:]|(?:{_OPENING}[,.!]|as an ai\b|here(?:'s|’s| is| are)\b|(?:this|below) is\b)[^\n]{{0,200}}:",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|__)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_AROUND = (("\"", "\""), ("“", "”"), ("'", "'"), ("`", "`"))  # fmt: skip


class Parsed(NamedTuple):
    """A document as a model wrote it, or why there is none.

    Attributes:
      text: the document; None if there is none.
      reason: ``"empty"``, ``"refused"`` or ``"unfinished thinking"``; "" if there is a text.
      preamble: a chat's sentence before the document, which is not part of it; "" for none.
    """

    text: str | None
    reason: str = ""
    preamble: str = ""


class Matched(NamedTuple):
    """Classes that a model named.

    Attributes:
      labels: those that the task has, in order, each once.
      unknown: what it named besides.
    """

    labels: tuple[str, ...]
    unknown: tuple[str, ...]


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


def parse_classes(text: str, task: Task) -> Matched:
    """Reads a list of classes by their names or labels; case, blanks and marks do not count.

    Args:
      text: as the model wrote it; thinking before the answer is not read, nor lines that are no items.
      task: the classes.
    """
    values, find = parse_values(text), _finder(task)
    return _matched(values, [find(value) or find(value.partition(":")[0]) for value in values])


def match_classes(names: Sequence[str], task: Task) -> Matched:
    """Finds the class of each name, as :func:`find_class` does.

    Args:
      names: names or labels of classes, in any spelling.
      task: the classes.
    """
    return _matched(names, list(map(_finder(task), names)))


def find_class(task: Task, name: str) -> str | None:
    """Returns the label of the class that a name or label means; case, marks and accents count only where they must.

    Args:
      task: the classes.
      name: of a class, in any spelling.

    Returns:
      The label: where no label and no name is just so, that of the only class that is spelt alike. None for none, or
      for several.

    >>> task = Task("news article", {"Sci_Tech": "science and technology", "World": "world news"})
    >>> find_class(task, "Sci/Tech"), find_class(task, "Science and Technology"), find_class(task, "Sports")
    ('Sci_Tech', 'Sci_Tech', None)
    """
    return _finder(task)(name)


def parse_yes_no(text: str) -> bool | None:
    """Reads an answer of Yes or No, or of 1 or 0, by the grammar of :func:`jaxalign.prompting.parse_option`.

    Args:
      text: as the model wrote it; thinking before the answer is not read.

    Returns:
      True for yes, False for no; None for anything that is not clearly one of them.

    >>> [parse_yes_no(text) for text in ("Yes.", "No, only 1 of them is close", "1. No", "Well, yes and no")]
    [True, False, None, None]
    """
    choice = read_choice(text, _YES_NO)
    if choice is None:  # behind a clear word digits are numbers of things
        choice = read_choice(text, _WITH_DIGITS)
    return None if choice is None else bool(choice)


def parse_document(text: str) -> Parsed:
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
        return Parsed(None, "unfinished thinking")
    said = said.strip()
    if not said:
        return Parsed(None, "empty")
    if is_refusal(said):
        return Parsed(None, "refused")
    first, _, rest = said.partition("\n")
    preamble = first.strip() if _PREAMBLE.fullmatch(first.strip()) else ""
    document = _bare((rest if preamble else said).strip())
    return Parsed(document, "", preamble) if document else Parsed(None, "empty", preamble)


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


def _matched(names: Sequence[str], found: Sequence[str | None]) -> Matched:
    unknown = tuple(name for name, label in zip(names, found, strict=True) if label is None)
    return Matched(tuple(dict.fromkeys(label for label in found if label is not None)), unknown)


def _finder(task: Task) -> Callable[[str], str | None]:
    spellings = Spellings({label: (label, shown) for label, shown in task.classes.items()})
    return lambda name: name if name in task.classes else spellings.find(name)
