"""Outlines: the headings of an article, as ``# Title`` for a section and ``## Title`` for a section of a section."""

import re
from collections.abc import Sequence

from jaxalign.planning.records import Heading

_HEADING = re.compile(r"[ \t]*(#{1,6})[ \t]+(.*?)[ \t#]*")


def article_headings(article: str) -> tuple[Heading, ...]:
    """Returns the headings of an article, in order.

    Args:
      article: a text; lines such as ``## Title`` are headings, of as many levels as they have marks, six at most.

    >>> article_headings("# Life\\nBorn in 1900.\\n## Youth\\nHappy.")
    (Heading(title='Life', level=1), Heading(title='Youth', level=2))
    """
    found = (_HEADING.fullmatch(line) for line in article.splitlines())
    return tuple(Heading(match[2].strip(), len(match[1])) for match in found if match and match[2].strip())


def parse_outline(text: str) -> tuple[Heading, ...]:
    """Reads an outline that a model wrote, or a plan has.

    Lines of ``# Title`` are headings. Where there is none, numbered or bulleted lines are: their level is that of
    their number (``1.`` and ``1.2``) or of their indentation.

    Args:
      text: one heading a line; other lines are not read.

    Returns:
      The headings in order; () if there is no outline.

    >>> parse_outline("1. Life\\n1.1 Youth\\n2. Work")
    (Heading(title='Life', level=1), Heading(title='Youth', level=2), Heading(title='Work', level=1))
    """
    if headings := article_headings(text):
        return headings
    items = [match for line in text.splitlines() if (match := _ITEM.fullmatch(line))]
    margins = sorted({len(item["indent"].expandtabs(4)) for item in items})
    return tuple(Heading(item["title"].strip(), _level(item, margins)) for item in items)


def render_outline(outline: Sequence[Heading]) -> str:
    """Returns the outline as text, which :func:`parse_outline` reads.

    Args:
      outline: headings of levels 1 to 6.

    Raises:
      ValueError: a level above 6, which nobody reads.
    """
    for heading in outline:
        if not 1 <= heading.level <= 6:
            raise ValueError(f"expected headings of levels 1 to 6, got {heading}; raise it, or leave it out")
    return "\n".join(f"{'#' * heading.level} {heading.title}" for heading in outline)


_ITEM = re.compile(
    r"(?P<indent>[ \t]*)(?:(?P<number>\d+(?:\.\d+)*)[.)]?|[IVX]+\.|[A-Za-z][.)]|[-*•])[ \t]+(?P<title>\S.*)"
)


def _level(item: re.Match, margins: Sequence[int]) -> int:
    number = item["number"]
    if number and "." in number:
        return min(number.count(".") + 1, 6)
    return min(margins.index(len(item["indent"].expandtabs(4))) + 1, 6)
