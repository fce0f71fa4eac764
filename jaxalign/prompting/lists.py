"""Lists that a model wrote, and texts under headings; what is not of the form that was asked for is not read."""

import re
from collections.abc import Sequence

from jaxalign.prompting.json_end import json_at_end
from jaxalign.prompting.thinking import final_text

_ITEM = re.compile(r"\s*(?:[-–*•·◦‣▪●]|\d+\\?[.)]|\(\d+\))\s+(.*\S)")
_QUOTED = r"(?:\"([^\"\n]+)\"|“([^”\n]+)”)"
_QUOTED_LINE = re.compile(rf"\s*{_QUOTED}(?:\s*(?:[,;]|,?\s+and)\s*{_QUOTED})*\s*[,;.]?\s*")
_NOTHING = {"none", "nothing", "n/a", "-"}


def parse_list(text: str) -> tuple[str, ...]:
    """Reads the items of a list that a model wrote, in order.

    A line that begins with a dash, a star, a bullet, ``1.``, ``1)`` or ``(1)`` is an item; other lines are not read.
    Only such a mark is taken off: ``1. 3D printing`` is "3D printing". Without any such line, a JSON array of strings
    with which the text ends is the list; without that, two or more texts in quotes are, where they fill their lines.

    Args:
      text: as the model wrote it; thinking before the answer is not read.

    Returns:
      The items without what marks them; () if there is no list.

    >>> parse_list("Sure:\\n1. a red apple\\n2. pears")
    ('a red apple', 'pears')
    >>> parse_list('Here they are: ["a red apple", "pears"]')
    ('a red apple', 'pears')
    """
    said = final_text(text) or ""
    if items := tuple(match[1] for line in said.splitlines() if (match := _ITEM.match(line))):
        return items
    array = json_at_end(said, "[")
    if array is None:
        return _quoted(said)
    texts = all(isinstance(item, str) for item in array)
    return tuple(item.strip() for item in array if item.strip()) if texts else ()


def parse_sections(text: str, headings: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
    """Reads the statements under several headings, each a line such as ``Only A:``, whatever its case and emphasis.

    A statement is a line under a heading, or behind it on its own line, with or without the mark of a list. Blank
    lines, and those that say "none", are no statements.

    Args:
      text: as the model wrote it; thinking before the answer is not read, nor what stands before the first heading.
      headings: without their colons; no two that differ in case only.

    Returns:
      The statements of each heading, in the order of ``headings``; None unless each heading is there exactly once.

    >>> parse_sections("**Good:**\\n- it rhymes\\nBad: none", ("Good", "Bad"))
    {'Good': ('it rhymes',), 'Bad': ()}
    """
    names = "|".join(map(re.escape, headings))
    form = re.compile(rf"[#*\s]*({names})(?!\w)[*\s]*:[*\s]*(.*)", re.IGNORECASE)
    sections: dict[str, list[str]] = {}
    current = None
    for line in (final_text(text) or "").splitlines():
        if found := form.fullmatch(line.strip()):
            name, line = found[1].casefold(), found[2]
            if name in sections:
                return None
            current = sections.setdefault(name, [])
        if current is not None and (statement := _statement(line)):
            current.append(statement)
    if len(sections) != len(headings):
        return None
    return {heading: tuple(sections[heading.casefold()]) for heading in headings}


def parse_blocks(text: str, keyword: str) -> dict[str, str]:
    """Takes a text apart at its lines such as ``Aspect: tone``: a keyword, and the name of the block below.

    Args:
      text: as the model wrote it; thinking before the answer is not read, nor what stands before the first such line.
      keyword: the word before the colon, whatever its case.

    Returns:
      The text below each of these lines by its name, in lower case; of a name that comes again, the first one.

    >>> parse_blocks("Class: Fruit\\n- apple\\n**Class: Tools**\\n- saw", "class")
    {'fruit': '\\n- apple\\n', 'tools': '\\n- saw'}
    """
    form = re.compile(rf"^[#*\s]*{re.escape(keyword)}[*\s]*:[*\s]*(.*?)[*\s]*$", re.IGNORECASE | re.MULTILINE)
    pieces = form.split(final_text(text) or "")[1:]
    blocks: dict[str, str] = {}
    for name, block in zip(pieces[::2], pieces[1::2], strict=True):
        blocks.setdefault(name.casefold(), block)
    return blocks


def _quoted(said: str) -> tuple[str, ...]:
    """Texts in quotes, from the lines that hold nothing else; () if there is but one, which is no list."""
    lines = [line for line in said.splitlines() if _QUOTED_LINE.fullmatch(line)]
    items = [(match[1] or match[2]).strip() for line in lines for match in re.finditer(_QUOTED, line)]
    return tuple(filter(None, items)) if len(items) > 1 else ()


def _statement(line: str) -> str:
    item = _ITEM.match(line)
    statement = (item[1] if item else line).strip()
    return "" if statement.strip(".* ").casefold() in _NOTHING else statement
