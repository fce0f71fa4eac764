"""True intermediate steps, from the structure of an article: no model writes them.

The lead of an encyclopedia's article is its summary, its headings are the outline, and its cited sentences are the key
information. The lead is a target of the plan, so it is no part of the article's body.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.metrics import split_sentences
from jaxalign.planning.outlines import article_headings
from jaxalign.planning.records import Fact, PlannedArticle

BACK_MATTER = frozenset(
    "references|footnotes|notes|citations|see also|external links|bibliography|further reading|sources|works cited|"
    "primary sources|scholarly sources|gallery".split("|")
)
"""Titles of sections that list things instead of telling them."""

FEWEST_WORDS = 4  # of a fact

_CITATION = re.compile(r"[ \t]*\[\d+\]")
_SECTION = re.compile(r"^(?=#{1,6} )", re.MULTILINE)


class CitedSentence(NamedTuple):
    """One sentence of an article with its sources.

    Attributes:
      text: the sentence.
      references: URLs; () for none.
    """

    text: str
    references: tuple[str, ...]


class StructureReport(NamedTuple):
    """What became of an article's parts.

    Attributes:
      back_matter: sections that list things, which were left out.
      cut_sections: sections behind the limit of words.
      facts: cited sentences that were kept.
      left_out_facts: cited sentences that were not: their section had enough or was left out, they are repeated, or
        have fewer words than :data:`FEWEST_WORDS`, as those that a splitter cut off do.
    """

    back_matter: int
    cut_sections: int
    facts: int
    left_out_facts: int


def from_structure(
    title: str,
    lead: str,
    body: str,
    sentences: Sequence[CitedSentence] = (),
    *,
    max_words: int | None = None,
    facts_per_section: int | None = None,
    lead_sentences: int | None = None,
    provenance: str = "structure",
    id: str = "",
) -> tuple[PlannedArticle, StructureReport]:
    """Makes a record of an article's own structure.

    Sections that list things are left out, as are citation marks such as ``[3]``. With a limit of words the article
    ends with the last section that fits, so that it still ends as an article does, and the outline and the facts are
    those of what is left.

    Args:
      title: what is asked for: x.
      lead: the summary; it becomes one paragraph.
      body: the sections, with lines of ``# Title``; text before the first heading is kept.
      sentences: of the body; those with references are key information.
      max_words: the longest article; None for all of it. A first section that is longer is cut behind a sentence.
      facts_per_section: the most facts of each section, the first ones; None for all.
      lead_sentences: the most sentences of the summary, the first ones; None for all.
      provenance: who says so, for instance the name of a data set.
      id: of the record.

    Returns:
      The record, and what was left out.

    Raises:
      ValueError: if nothing is left of the article.
    """
    sections = [_CITATION.sub("", section).strip() for section in _SECTION.split(body)]
    told = list(_without_back_matter([section for section in sections if section]))
    kept = list(_within(told, max_words))
    article = "\n\n".join(kept)
    if not article:
        raise ValueError(f"the article {title!r} has no section that tells anything; leave it out")
    cited = [sentence for sentence in sentences if sentence.references]
    facts = _facts(kept, cited, facts_per_section)
    record = PlannedArticle(
        title,
        article,
        summary=_first_sentences(_squeezed(lead), lead_sentences),
        outline=article_headings(article),
        key_information=facts,
        provenance={"summary": provenance, "outline": provenance} | ({"key_information": provenance} if facts else {}),
        id=id,
    )
    dropped = sum(map(bool, sections)) - len(told)
    return record, StructureReport(dropped, len(told) - len(kept), len(facts), len(cited) - len(facts))


def from_kilt(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns title, lead and body of an article of KILT's Wikipedia, for :func:`from_structure`.

    KILT writes a heading as ``Section::::History.:Early years.``, the item of a list as ``BULLET::::-``; cited
    sentences are not marked there, so that key information is for a teacher to write.

    Args:
      row: an entry with ``wikipedia_title`` and ``text``, a list of paragraphs or ``{"paragraph": [...]}``.

    Raises:
      ValueError: if these fields are missing or of another form.

    >>> from_kilt({"wikipedia_title": "Bees", "text": ["Bees", "Insects.", "Section::::Life.", "They fly."]})
    ('Bees', 'Insects.', '# Life\\nThey fly.')
    """
    text = row.get("text")
    paragraphs = text.get("paragraph") if isinstance(text, Mapping) else text
    title = row.get("wikipedia_title")
    if not isinstance(title, str) or not isinstance(paragraphs, Sequence) or isinstance(paragraphs, str):
        raise ValueError(f"expected wikipedia_title and text with paragraphs, got the fields {sorted(row)}")
    lines = [paragraph.strip() for paragraph in paragraphs]
    lines = [line for number, line in enumerate(lines) if line and (number or line != title)]
    lead = list(itertools.takewhile(lambda line: not line.startswith("Section::::"), lines))
    return title, "\n\n".join(lead), "\n".join(map(_kilt_line, lines[len(lead) :]))


def _kilt_line(line: str) -> str:
    if line.startswith("Section::::"):
        path = line.removeprefix("Section::::").removesuffix(".").split(".:")
        return f"{'#' * min(len(path), 6)} {path[-1]}"
    return line.replace("BULLET::::", "", 1)


def _without_back_matter(sections: Iterable[str]) -> Iterator[str]:
    """The sections that tell something; those below a section of back matter go with it."""
    dropped = 0  # the level of the section that was left out
    for section in sections:
        heading = next(iter(article_headings(section.partition("\n")[0])), None)
        if heading and dropped and heading.level > dropped:
            continue
        dropped = heading.level if heading and heading.title.casefold() in BACK_MATTER else 0
        if not dropped:
            yield section


def _within(sections: Sequence[str], max_words: int | None) -> Iterator[str]:
    total = 0
    for number, section in enumerate(sections):
        total += len(section.split())
        if max_words is None or total <= max_words:
            yield section
        elif not number or not "\n\n".join(sections[:number]).strip("# \n"):
            yield _beginning(section, max_words)
            return
        else:
            return


def _beginning(section: str, max_words: int) -> str:
    """As many sentences as fit, and one at least behind the heading."""
    end, words = 0, 0
    for sentence in split_sentences(section):
        words += len(sentence.split())
        if words > max_words and section[:end].strip("# \n") and not _is_heading(section[:end]):
            break
        end = section.index(sentence, end) + len(sentence)
    return section[:end]


def _is_heading(text: str) -> bool:
    return bool(article_headings(text)) and "\n" not in text.strip()


def _first_sentences(text: str, limit: int | None) -> str:
    return text if limit is None else " ".join(split_sentences(text)[:limit])


def _facts(sections: Sequence[str], cited: Sequence[CitedSentence], limit: int | None) -> tuple[Fact, ...]:
    """The first cited sentences of each section, found in its text."""
    texts = [_squeezed(section) for section in sections]
    counts = [0] * len(texts)
    facts = []
    for sentence in cited:
        claim = _squeezed(sentence.text)
        place = next((place for place, text in enumerate(texts) if claim in text), None)
        new = len(claim.split()) >= FEWEST_WORDS and all(claim != fact.text for fact in facts)
        if place is not None and new and (limit is None or counts[place] < limit):
            counts[place] += 1
            facts.append(Fact(claim, sentence.references))
    return tuple(facts)


def _squeezed(text: str) -> str:
    return " ".join(_CITATION.sub("", text).split())
