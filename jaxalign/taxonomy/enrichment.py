"""Key terms of each class from a language model: what is relevant to it and irrelevant to its siblings.

The wording is ours; what the prompt asks for is the paper's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxalign.prompting import bare, final_text, parse_list
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.taxonomy.readers import render_path
from jaxalign.taxonomy.taxonomy import Taxonomy, readable_name
from jaxalign.typing import GenerateFn

Terms = tuple[tuple[str, ...], ...]
"""The terms of each class."""

_HEADING = re.compile(r"\W*(?:additional\s+)?key\s*terms?\b[^:\n]*:\s*", re.IGNORECASE)
_FEWEST = 3  # terms on a line; one comma or two are in any sentence


class Enrichment(NamedTuple):
    """The terms of each class, and where they came out short.

    Attributes:
      terms: for each class its terms in order, without its own name; () where no list could be read.
      short: how many were read, by class, for each with fewer than were asked for.
      unread: the answer as the model wrote it, by class, where no list could be read.
    """

    terms: Terms
    short: Mapping[int, int]
    unread: Mapping[int, str]


class ClassTerms(NamedTuple):
    """All terms in one list, for an encoder and :func:`class_similarities`.

    Attributes:
      texts: ``T`` terms, the name of each class before its others.
      classes: ``[T]``, the class of each.
    """

    texts: tuple[str, ...]
    classes: Int[np.ndarray, "T"]


def propose_terms(
    generate: GenerateFn,
    taxonomy: Taxonomy,
    *,
    document: str = "text",
    count: int = 10,
    temperature: float = 0.0,
    max_tokens: int = 256,
    seed: int = 0,
) -> Enrichment:
    """Asks a language model for key terms of every class, in one call.

    Args:
      generate: continues prompts with texts, by a language model.
      taxonomy: the classes.
      document: the kind of document, such as ``"product review"``.
      count: how many terms to ask for, at least 1; what is beyond them is left out.
      temperature: of the answers; 0 in the paper.
      max_tokens: the longest answer, at least 1.
      seed: of the answers.

    Raises:
      ValueError: ``count`` or ``max_tokens`` is below 1, or the temperature below 0.

    Source: TELEClass (arXiv 2403.00165), section 3.1: 10 terms.
    """
    check_counts(count=count, max_tokens=max_tokens)
    check_temperature(temperature)
    asked = [render_enrichment(taxonomy, number, document=document, count=count) for number in range(len(taxonomy))]
    answers = generate(asked, temperature=temperature, max_tokens=max_tokens, seed=seed)
    texts = [each[0] if each else "" for _, each in zip(asked, answers, strict=True)]
    terms = tuple(_others(parse_terms(text), name)[:count] for text, name in zip(texts, taxonomy.names, strict=True))
    short = {number: len(each) for number, each in enumerate(terms) if len(each) < count}
    return Enrichment(terms, short, {number: texts[number] for number in short if not parse_terms(texts[number])})


def render_enrichment(taxonomy: Taxonomy, number: int, *, document: str = "text", count: int = 10) -> str:
    """Returns the prompt that asks for key terms of a class; it names the way down to each parent, and all siblings.

    Args:
      taxonomy: the classes.
      number: the class.
      document: the kind of document, such as ``"product review"``.
      count: how many terms to ask for.

    >>> print(render_enrichment(Taxonomy(("pets", "dogs", "cats"), ((), (0,), (0,))), 1, count=2))
    "dogs" is a class in a taxonomy of texts, below the class "pets".
    <BLANKLINE>
    Name 2 key terms that are relevant to the class "dogs", other than its name, and irrelevant to these classes:
    - cats
    <BLANKLINE>
    Write each term on a line of its own that begins with "- ".
    """
    name = f'"{taxonomy.names[number]}"'
    above = _any_of([render_path(taxonomy, _way_down(taxonomy, parent)) for parent in taxonomy.parents[number]])
    siblings = dict.fromkeys(taxonomy.names[each] for family in taxonomy.sibling_sets(number) for each in family)
    kind = "texts" if document == "text" else f"texts, each a {document}"
    avoided = ", and irrelevant to these classes:\n" + "\n".join(f"- {each}" for each in siblings) if siblings else "."
    return (
        f"{name} is a class in a taxonomy of {kind}{above}.\n\n"
        f"Name {count} key terms that are relevant to the class {name}, other than its name{avoided}\n\n"
        'Write each term on a line of its own that begins with "- ".'
    )


def parse_terms(text: str) -> tuple[str, ...]:
    """Reads the distinct terms of a list, or of one line with commas, without quotes, emphasis or underscores.

    Args:
      text: as the model wrote it; thinking before the answer is not read.

    Returns:
      The terms in order; of two that differ in case only, the first. () if there is no list, nor a line of three terms
      or more behind ``Key terms:`` or alone.

    >>> parse_terms("Sure:\\n1. 3D_printing\\n2. **Nozzle**\\n3. nozzle")
    ('3D printing', 'Nozzle')
    >>> parse_terms("Key terms:\\nbeef, turkey, smoked fish.")
    ('beef', 'turkey', 'smoked fish')
    """
    distinct: dict[str, str] = {}
    for item in parse_list(text) or _between_commas(final_text(text) or ""):
        if term := readable_name(bare(item)):
            distinct.setdefault(term.casefold(), term)
    return tuple(distinct.values())


def join_terms(taxonomy: Taxonomy, terms: Sequence[Sequence[str]] | None = None) -> ClassTerms:
    """Puts the name of each class and its terms into one list, with the class of each.

    Args:
      taxonomy: the classes.
      terms: for each class its terms, for instance those of an :class:`Enrichment`; None for names alone.

    Raises:
      ValueError: there are not as many lists as classes.

    >>> join_terms(Taxonomy(("pets", "dogs"), ((), (0,))), (("vet",), ()))
    ClassTerms(texts=('pets', 'vet', 'dogs'), classes=array([0, 0, 1]))
    """
    if terms is None:
        terms = [()] * len(taxonomy)
    if len(terms) != len(taxonomy):
        raise ValueError(f"terms: expected a list for each of {len(taxonomy)} classes, got {len(terms)}; () for none")
    lists = [(name, *_others(each, name)) for name, each in zip(taxonomy.names, terms, strict=True)]
    return ClassTerms(
        tuple(text for each in lists for text in each), np.repeat(np.arange(len(lists)), list(map(len, lists)))
    )


def _others(terms: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(term for term in terms if term.casefold() != name.casefold())


def _between_commas(said: str) -> list[str]:
    line = _HEADING.sub("", said.strip(), count=1).strip()
    items = line.rstrip(".").split(",")
    return items if len(items) >= _FEWEST and len(line.splitlines()) == 1 else []


def _way_down(taxonomy: Taxonomy, number: int) -> tuple[int, ...]:
    """Goes by the first parent of each class."""
    way = [number]
    while taxonomy.parents[way[-1]]:
        way.append(taxonomy.parents[way[-1]][0])
    return tuple(reversed(way))


def _any_of(ways: Sequence[str]) -> str:
    if not ways:
        return ""
    quoted = [f'"{way}"' for way in ways]
    return f", below the class {quoted[0]}" if len(ways) == 1 else f", below the classes {', '.join(quoted)}"
