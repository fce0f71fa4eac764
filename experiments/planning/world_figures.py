"""Figures of articles of the made world, per text: which sections in which order, which facts, how long."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from experiments.planning import world
from jaxalign.numerics import Ratio
from jaxalign.planning import PlannedArticle, WrittenArticle, article_headings

Sections = Mapping[str, Sequence[str]]
"""The lines below each heading; of several headings with one title, the first."""

FACT_WORDS = frozenset(world.WORDS["claim"] + world.WORDS["detail"])


def evaluate(written: Sequence[WrittenArticle], records: Sequence[PlannedArticle]) -> dict[str, Ratio]:
    """Compares each article with the true one; where there is none, nothing is right.

    Args:
      written: articles of a model.
      records: the true ones, in the same order.

    Returns:
      Ratios ``[N]``. ``section order`` is the share of the pairs of true sections that are both there in this order;
      ``fact recall`` and ``fact precision`` count claims and details, each in its section; ``section lengths`` is the
      share of true sections that are there with as many lines; ``exact`` is 1 for an article that is right to the
      letter, and ``no article`` is 1 where a reason is given for its absence.
    """
    pairs = list(zip(written, records, strict=True))
    sections = [(split(each.article), split(record.article)) for each, record in pairs]
    return {
        **{name: _ratio(count(*pair) for pair in sections) for name, count in _COUNTS.items()},
        "exact": _ratio((each.article == record.article, 1) for each, record in pairs),
        "no article": _ratio((bool(each.reason), 1) for each, _ in pairs),
    }


def split(article: str) -> Sections:
    """Returns the sections of an article.

    >>> split("# nests\\nbees fly .\\n# meals")
    {'nests': ['bees fly .'], 'meals': []}
    """
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in article.splitlines():
        if headings := article_headings(line):
            lines = []
            sections.setdefault(headings[0].title, lines)
        else:
            lines.append(line)
    return sections


def _order(said: Sections, true: Sections) -> tuple[int, int]:
    places = {title: place for place, title in enumerate(said)}
    pairs = list(itertools.combinations(true, 2))
    return sum(a in places and b in places and places[a] < places[b] for a, b in pairs), len(pairs)


def _recall(said: Sections, true: Sections) -> tuple[int, int]:
    return len(_facts(said) & _facts(true)), len(_facts(true))


def right_facts(article: str, true: str) -> tuple[int, int]:
    """Returns how many facts of an article are right, in their section, and how many it states."""
    return _precision(split(article), split(true))


def _precision(said: Sections, true: Sections) -> tuple[int, int]:
    return len(_facts(said) & _facts(true)), len(_facts(said))


def _lengths(said: Sections, true: Sections) -> tuple[int, int]:
    return sum(title in said and len(said[title]) == len(lines) for title, lines in true.items()), len(true)


def _facts(sections: Sections) -> set[tuple[str, str]]:
    words = ((title, word) for title, lines in sections.items() for line in lines for word in line.split())
    return {(title, word) for title, word in words if word in FACT_WORDS}


_COUNTS: Mapping[str, Callable[[Sections, Sections], tuple[int, int]]] = {
    "section order": _order,
    "fact recall": _recall,
    "fact precision": _precision,
    "section lengths": _lengths,
}


def _ratio(counts: Iterable[tuple[int, int]]) -> Ratio:
    return Ratio(*np.array(list(counts), np.float32).T)
