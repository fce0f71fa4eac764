"""How a plan and an article stand in one text, and the strict reader that keeps the plan out of the article.

A text of a model is a block for each intermediate step that was asked for, in the order in which they were asked for,
and then the article::

    <summary>
    Bees are insects.
    </summary>
    <article>
    # Life
    Bees live in colonies.
    </article>

The grammar is ours; the paper's was not at hand. Whatever is not exactly this has no article: a mark that is missing,
doubled, misspelt or out of its place, or a text between two blocks. Only the closing mark of the article may be
missing, where a limit of tokens cut it off.
"""

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from jaxalign.planning.outlines import render_outline
from jaxalign.planning.records import PARTS, PlannedArticle
from jaxalign.prompting import final_text

ARTICLE = "article"
OPENING = f"<{ARTICLE}>\n"
"""With this an answer that has no plan begins: a model that always plans can be made to write at once."""

_ALIKE = re.compile(r"<\s*/?\s*([a-z_]+)\s*>", re.IGNORECASE)
_MARK = re.compile(rf"<\s*(/?)\s*({'|'.join((*PARTS, ARTICLE))})\s*>", re.IGNORECASE)

Reason = Literal["", "unfinished thinking", "cut off in the plan", "another form", "empty"]
"""Why there is no article; "" where there is one."""


class ParsedOutput(NamedTuple):
    """What a model wrote, plan and article apart.

    Attributes:
      article: the article, "" if there is none.
      plan: the texts of the blocks that were read, by name; without an article those before the fault.
      reason: why there is no article: ``"cut off in the plan"`` where everything up to the end was right,
        ``"another form"``, ``"unfinished thinking"``, or ``"empty"``; "" if there is one.
      finished: whether the article has its closing mark.
    """

    article: str
    plan: Mapping[str, str]
    reason: Reason = ""
    finished: bool = False


def render_part(record: PlannedArticle, part: str) -> str:
    """Returns one intermediate step as text: the summary, ``# Title`` lines, or facts with a dash each.

    Args:
      record: an article with this step.
      part: one of :data:`PARTS`.

    Raises:
      ValueError: the record lacks the step, or there is no such step.
    """
    check_parts((part,))
    if not getattr(record, part):
        name = f" {record.id!r}" if record.id else ""
        raise ValueError(f"the record{name} has no {part}; leave it out, or ask for other parts than {part!r}")
    if part == "outline":
        return render_outline(record.outline)
    if part == "key_information":
        return "\n".join(f"- {fact.text.strip()}" for fact in record.key_information)
    return record.summary.strip()


def render_plan(record: PlannedArticle, parts: Sequence[str] = PARTS) -> str:
    """Returns the plan of a record: a block for each of ``parts``, with a line break behind.

    Args:
      record: an article with these steps.
      parts: which steps, in which order.

    Raises:
      ValueError: a step that the record lacks, or one with a mark of this grammar in it.
    """
    check_parts(parts)
    return "".join(_block(part, render_part(record, part)) + "\n" for part in parts)


def render_article(record: PlannedArticle) -> str:
    """Returns the article between its marks.

    Args:
      record: an article.

    Raises:
      ValueError: an article that is blank, or has a mark of this grammar in it.
    """
    if not record.article.strip():
        raise ValueError("expected an article that is not blank; leave the record out")
    return _block(ARTICLE, record.article.strip())


def parse_output(text: str, parts: Sequence[str] = ()) -> ParsedOutput:
    """Reads an article behind the plan that was asked for; no text of a plan gets into the article.

    Args:
      text: what a model wrote, the beginning that it was made to write included.
      parts: the steps that were asked for, in this order; () for the article at once.

    Returns:
      The article and the plan, or the reason why there is no article.

    >>> parse_output("<summary>Short.</summary><article>Long.</article>", ["summary"])
    ParsedOutput(article='Long.', plan={'summary': 'Short.'}, reason='', finished=True)
    >>> parse_output("<summary>Sho", ["summary"]).reason
    'cut off in the plan'
    """
    check_parts(parts)
    said = final_text(text)
    if said is None:
        return ParsedOutput("", {}, "unfinished thinking")
    blocks, reason = _read(said, (*parts, ARTICLE))
    article = blocks.pop(ARTICLE, None)
    if reason not in ("", "cut off"):
        return ParsedOutput("", blocks, "empty" if not said.strip() else "another form")
    if article is None:
        return ParsedOutput("", blocks, "cut off in the plan" if parts else "empty")
    if any(difflib.get_close_matches(mark[1].lower(), (*PARTS, ARTICLE)) for mark in _ALIKE.finditer(article)):
        return ParsedOutput("", blocks, "another form")
    return ParsedOutput(article, blocks, "" if article else "empty", finished=reason == "")


def parse_plan(text: str, parts: Sequence[str] = PARTS) -> dict[str, str] | None:
    """Reads a plan that stands alone.

    Args:
      text: what a model wrote.
      parts: the steps that were asked for, in this order.

    Returns:
      The texts of the steps by name; None if this is not exactly such a plan.
    """
    check_parts(parts)
    said = final_text(text)
    blocks, reason = ({}, "another form") if said is None else _read(said, tuple(parts))
    return None if reason else blocks


def check_parts(parts: Sequence[str]) -> None:
    """Refuses what is no list of different intermediate steps.

    Args:
      parts: names of steps.

    Raises:
      ValueError: saying what there is.
    """
    if isinstance(parts, str) or set(parts) - set(PARTS) or len(set(parts)) < len(parts):
        raise ValueError(f"expected different parts of a plan among {', '.join(PARTS)}, got {parts!r}")


def find_mark(text: str) -> str:
    """Returns the first mark of this grammar in a text, which no step and no article may have; "" if there is none.

    Args:
      text: any text.

    >>> find_mark("Bees are </ summary> insects")
    '</ summary>'
    """
    found = _MARK.search(text)
    return found.group() if found else ""


def _without_beginning(text: str, mark: str) -> str:
    """The text without the beginning of a mark in which it was cut off."""
    start = text.rfind("<")
    return text[:start].rstrip() if start >= 0 and mark.startswith(text[start:].lower()) else text


def _block(name: str, text: str) -> str:
    if found := find_mark(text):
        raise ValueError(f"the {name} has the mark {found!r} in it, which would end it; write it in another way")
    return f"<{name}>\n{text}\n</{name}>"


def _read(said: str, names: Sequence[str]) -> tuple[dict[str, str], str]:
    """The blocks up to the first fault, and "" where there is none, "cut off" where the text is a beginning."""
    marks = list(_MARK.finditer(said))
    places = [0, *itertools.chain.from_iterable(mark.span() for mark in marks), len(said)]
    between = [said[start:end] for start, end in zip(places[::2], places[1::2], strict=True)]
    expected = [(slash, name) for name in names for slash in ("", "/")]
    if len(marks) < len(expected):
        between[-1] = _without_beginning(between[-1], "<{}{}>".format(*expected[len(marks)]))
    blocks: dict[str, str] = {}
    if between[0].strip():
        return blocks, "another form"
    for place, mark in enumerate(marks):
        if place >= len(expected) or (mark[1], mark[2].lower()) != expected[place]:
            # What a fault follows is no block: nobody knows where it ends.
            return {name: text for name, text in blocks.items() if name != ARTICLE}, "another form"
        text = between[place + 1]
        if mark[1]:
            if text.strip():
                return {name: text for name, text in blocks.items() if name != ARTICLE}, "another form"
        elif place + 1 < len(marks) or mark[2].lower() == ARTICLE:
            blocks[mark[2].lower()] = text.strip()
    return blocks, "" if len(marks) == len(expected) else "cut off"
