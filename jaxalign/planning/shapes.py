"""The form of a step: whether it has a length that is wanted, and keeps the rules of its kind.

Source: arXiv 2410.06203 filters the teacher's steps by a sinusoidal score of their length and by their structure. Its
function and its rules are not known; these are ours.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxalign.metrics import split_sentences, split_words
from jaxalign.planning.grammar import render_part
from jaxalign.planning.outlines import article_headings
from jaxalign.planning.records import Heading, PlannedArticle

Range = tuple[float | int, float | int]
"""The least and the greatest of what is wanted; a single length is twice the same number."""

_FEWEST_WORDS = 4  # of a sentence
_NO_PROSE = re.compile(r"\s*(?:#{1,6}\s|[-–*•]\s|\d+[.)]\s)")
_FINISHED = re.compile(r"[.!?…。！？][\"'”’»)\]]*\s*$")


class Shape(NamedTuple):
    """The wanted length of each step, for each 1,000 words of the article.

    The defaults hold for the lead, the headings and the cited sentences of nearly all articles of FreshWiki: 72, 72 and
    74 of 75.

    Attributes:
      summary: words.
      outline: headings.
      key_information: facts.
    """

    summary: Range = (15.0, 300.0)
    outline: Range = (2.5, 16.0)
    key_information: Range = (3.0, 35.0)


SHAPE = Shape()
"""The lengths that are usual in FreshWiki."""


def length_score(length: float | int, wanted: tuple[float | int, float | int]) -> float:
    """Scores a length with the first half of a sine: 1 for what is wanted, 0 for nothing and for twice as much.

    It is ``sin(pi / 2 * r)``, where r is the length over the nearer end of the range that is wanted; 1 within the
    range, and 0 from r = 2.

    Args:
      length: of a step, at least 0.
      wanted: the least and the greatest length that is wanted, in the same unit.

    Returns:
      A number in [0, 1].

    Raises:
      ValueError: the wanted lengths are not above 0, or the least is above the greatest.

    >>> [round(length_score(length, (10, 20)), 3) for length in (5, 10, 15, 20, 30, 40, 50)]
    [0.707, 1.0, 1.0, 1.0, 0.707, 0.0, 0.0]
    """
    least, greatest = wanted
    if not 0 < least <= greatest < math.inf:
        raise ValueError(f"wanted: expected 0 < least <= greatest, got {wanted}; give the same number twice for one")
    ratio = length / least if length < least else max(length / greatest, 1.0)
    return math.sin(math.pi / 2 * ratio) if ratio < 2 else 0.0


def step_length(record: PlannedArticle, part: str) -> float:
    """Returns the length of a step for each 1,000 words of the article: words, headings or facts.

    Args:
      record: an article with this step.
      part: which step, one of :data:`~jaxalign.planning.PARTS`.

    Raises:
      ValueError: the record lacks the step, or its article has no words.
    """
    text = render_part(record, part)
    words = len(split_words(record.article))
    if not words:
        raise ValueError("expected an article with words; leave the record out")
    count = len(split_words(text)) if part == "summary" else len(getattr(record, part))
    return 1000 * count / words


def structure_score(record: PlannedArticle, part: str) -> float:
    """Scores how far a step keeps the rules of its kind: the average over its rules of the share that keeps each.

    A summary is one paragraph, has no lines of headings or lists, repeats no sentence, and ends with a full sentence.
    An outline has two headings or more, begins at level 1, leaves out no level downwards, and repeats no title under
    the same heading. Key information consists of sentences, of four words or more, repeats none, and has no heading of
    the article among them.

    Args:
      record: an article with this step.
      part: which step, one of :data:`~jaxalign.planning.PARTS`.

    Returns:
      A number in [0, 1]; 1 if every rule is kept, 0 for a blank text.

    Raises:
      ValueError: the record lacks the step.
    """
    text = render_part(record, part)
    if not text:
        return 0.0
    if part == "summary":
        rules = _summary_rules(text)
    elif part == "outline":
        rules = _outline_rules(record.outline)
    else:
        rules = _fact_rules([fact.text for fact in record.key_information], record.article)
    return sum(rules) / len(rules)


def _summary_rules(text: str) -> tuple[float, ...]:
    lines = [line for line in text.splitlines() if line.strip()]
    prose = sum(not _NO_PROSE.match(line) for line in lines) / len(lines)
    return 1 / len(lines), prose, _distinct(split_sentences(text)), float(bool(_FINISHED.search(text)))


def _outline_rules(outline: Sequence[Heading]) -> tuple[float, ...]:
    steps = [later.level <= earlier.level + 1 for earlier, later in zip(outline, outline[1:], strict=False)]
    descent = sum(steps) / len(steps) if steps else 1.0
    return min(len(outline) / 2, 1.0), float(outline[0].level == 1), descent, _distinct(_paths(outline))


def _paths(outline: Sequence[Heading]) -> list[str]:
    """Each title behind those that it stands under."""
    above: list[Heading] = []
    paths = []
    for heading in outline:
        above = [*(each for each in above if each.level < heading.level), heading]
        paths.append("\n".join(each.title for each in above))
    return paths


def _fact_rules(facts: Sequence[str], article: str) -> tuple[float, ...]:
    headings = {_plain(heading.title) for heading in article_headings(article)}
    sentences = sum(len(split_words(fact)) >= _FEWEST_WORDS for fact in facts) / len(facts)
    return sentences, _distinct(facts), sum(_plain(fact) not in headings for fact in facts) / len(facts)


def _distinct(texts: Iterable[str]) -> float:
    plain = list(map(_plain, texts))
    return len({*plain}) / len(plain)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
