"""A taxonomy with documents, and what is known of both before anything is asked."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from experiments.teleclass.pipeline import Terms
from jaxalign.taxonomy import PathDocument, Taxonomy

_WORDS_OF_A_TERM = 6  # what is longer is a whole list that lost its commas


class Texts(NamedTuple):
    """Documents with the classes of each, or None where nobody knows them."""

    texts: Sequence[str]
    labels: Bool[np.ndarray, "N C"] | None
    groups: Sequence[Any] | None = None

    def select(self, rows: Sequence[int]) -> "Texts":
        """Returns some of the documents."""
        labels = None if self.labels is None else self.labels[list(rows)]
        return Texts([self.texts[row] for row in rows], labels)


@dataclasses.dataclass(frozen=True)
class Source:
    """A taxonomy with documents to learn from and to test on, and what files say beside them."""

    taxonomy: Taxonomy
    corpus: Texts
    test: Texts | None  # None: a share of the corpus
    terms: Terms | None = None
    phrases: Sequence[str] | None = None
    documents: Sequence[PathDocument] | None = None
    notes: Sequence[str] = ()  # what was left out

    def split(self, test_share: float, num_texts: tuple[int, int], seed: int) -> tuple[Texts, Texts]:
        """Returns documents to learn from and to test on; the latter are none where nothing has labels."""
        rng = np.random.default_rng(seed)
        rows = list(range(len(self.corpus.texts)))
        if self.test is not None or self.corpus.labels is None:
            nothing = Texts([], np.zeros((0, len(self.taxonomy)), bool))
            parts = self.corpus.select(rows), self.test or nothing
        else:
            tested = _drawn(self.corpus.groups or rows, test_share, rng)
            parts = tuple(self.corpus.select([row for row in rows if (row in tested) == want]) for want in (0, 1))
        return tuple(_some(part, most, rng) for part, most in zip(parts, num_texts, strict=True))


def sort_terms(path: pathlib.Path, found: Mapping[int, Sequence[str]], taxonomy: Taxonomy) -> tuple[Terms, list[str]]:
    """Returns terms by class without those that are whole lists, and notes of these and of classes without a term."""
    terms = [tuple(term for term in found.get(n, ()) if _is_term(term)) for n in range(len(taxonomy))]
    glued = [taxonomy.names[n] for n, each in found.items() if not all(map(_is_term, each))]
    without = [name for name, each in zip(taxonomy.names, terms, strict=True) if not each]
    notes = [f"{path}: terms of more than {_WORDS_OF_A_TERM} words are left out, of {', '.join(glued)}"] * bool(glued)
    return terms, notes + [f"{path}: no terms of {', '.join(without)}"] * bool(without)


def _is_term(term: str) -> bool:
    return 0 < len(term.split()) <= _WORDS_OF_A_TERM


def _drawn(groups: Sequence[Any], share: float, rng: np.random.Generator) -> set[int]:
    """The rows of a share of the groups."""
    names = list(dict.fromkeys(groups))
    chosen = {names[place] for place in rng.permutation(len(names))[: round(share * len(names))]}
    return {row for row, group in enumerate(groups) if group in chosen}


def _some(texts: Texts, most: int, rng: np.random.Generator) -> Texts:
    if not most or most >= len(texts.texts):
        return texts
    return texts.select(np.sort(rng.permutation(len(texts.texts))[:most]).tolist())
