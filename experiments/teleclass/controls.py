"""Settings in which a method should do worse, or no worse, if it works for the reasons it is said to."""

import dataclasses
import functools

import numpy as np

from experiments.teleclass.source import Source, Texts
from jaxalign.attributes import mask_words
from jaxalign.taxonomy import PathDocument, Taxonomy

SHUFFLED, STRIPPED = "class names shuffled", "class names taken out of documents"
CONTROLS = (SHUFFLED, STRIPPED)
TRIES = 100


def change(source: Source, control: str, seed: int) -> Source:
    """Returns the source as a control has it."""
    return {SHUFFLED: _shuffle, STRIPPED: _strip}[control](source, seed)


def _shuffle(source: Source, seed: int) -> Source:
    """Gives the classes of each level each other's names, with the terms and the written documents of the names.

    What is said of a class is wrong then, so that nothing can be learnt but which classes there are.
    """
    taxonomy, rng = source.taxonomy, np.random.default_rng(seed)
    drawn = (_draw_names(taxonomy, rng) for _ in range(TRIES))
    of = next((each for each in drawn if _are_told_apart(taxonomy, each)), None)
    if of is None:
        raise ValueError(
            f"{SHUFFLED}: in {TRIES} draws two classes below one parent always got the same name; drop this control"
        )
    has = {int(name): number for number, name in enumerate(of)}
    renamed = Taxonomy(tuple(taxonomy.names[n] for n in of), taxonomy.parents, taxonomy.ids)
    first = {path[-1]: path for path in reversed(taxonomy.paths)}
    documents = source.documents and [
        PathDocument(each.text, first[has[each.path[-1]]]) for each in source.documents if has[each.path[-1]] in first
    ]
    terms = source.terms and [source.terms[n] for n in of]
    return dataclasses.replace(source, taxonomy=renamed, terms=terms, documents=documents)


def _draw_names(taxonomy: Taxonomy, rng: np.random.Generator) -> np.ndarray:
    """Draws whose name each class gets, of those on its level."""
    of = np.arange(len(taxonomy))
    for level in range(taxonomy.depth):
        (numbers,) = np.nonzero(taxonomy.levels == level)
        order = rng.permutation(numbers)
        of[order] = np.roll(order, 1)  # no class of several keeps its own
    return of


def _are_told_apart(taxonomy: Taxonomy, of: np.ndarray) -> bool:
    """Says whether siblings have different names, which two classes of one name may lose when they are moved."""
    names = [taxonomy.names[number].casefold() for number in of]
    families = (taxonomy.roots, *taxonomy.children)
    return all(len({names[each] for each in family}) == len(family) for family in families)


def _strip(source: Source, seed: int) -> Source:
    """Puts a token in the place of each class name, and of its words, in all documents."""
    names = source.taxonomy.names

    def stripped(texts: Texts | None) -> Texts | None:
        return texts and texts._replace(texts=_masked(tuple(texts.texts), names))

    texts = _masked(tuple(each.text for each in source.documents or ()), names)
    documents = source.documents and [
        each._replace(text=text) for each, text in zip(source.documents, texts, strict=True)
    ]
    return dataclasses.replace(source, corpus=stripped(source.corpus), test=stripped(source.test), documents=documents)


@functools.lru_cache(maxsize=8)  # seeds divide the same documents
def _masked(texts: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    return [mask_words(text, names) for text in texts]
