"""A corpus in which the terms of each class are known: a topic model on a small taxonomy."""

from typing import NamedTuple

import numpy as np

from jaxalign.taxonomy import Taxonomy

TERMS = 20
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


class Planted(NamedTuple):
    taxonomy: Taxonomy
    texts: list[str]
    cores: np.ndarray  # [D, C] bool
    terms: list[list[str]]  # of each class
    class_embeddings: np.ndarray  # [C, E]
    vectors: dict[str, np.ndarray]  # of each term, the background's too


def planted_corpus(seed: int = 0, *, documents: int = 60, words: int = 40) -> Planted:
    """Two roots with three children each, and a class that stands below both roots."""
    names = ("animals", "plants", "dogs", "cats", "birds", "roses", "herbs", "trees", "food")
    taxonomy = Taxonomy(names, ((), (), (0,), (0,), (0,), (1,), (1,), (1,), (0, 1)))
    draw = np.random.default_rng(seed)
    spelt = _pseudo_words(draw, len(names) * TERMS + 300)
    terms = [spelt[number * TERMS : (number + 1) * TERMS] for number in range(len(names))]
    terms = [[term if place % 3 else f"{term} {term[::-1]}" for place, term in enumerate(each)] for each in terms]
    background = spelt[len(names) * TERMS :]
    classes = np.eye(len(names), 32)
    vectors = {term: _near(draw, classes[number]) for number, each in enumerate(terms) for term in each}
    vectors |= {word: _near(draw, np.zeros(32)) for word in background}
    texts, cores = [], []
    for core in range(2, len(names)):
        for _ in range(documents):
            path = [core, draw.choice(taxonomy.parents[core])]
            sources = draw.choice(3, words, p=[0.25, 0.15, 0.6])
            said = [
                str(draw.choice([terms[path[0]], terms[path[1]]][source]))
                if source < 2
                else background[int(300 * draw.random() ** 3)]
                for source in sources
            ]
            texts.append(", ".join(word.title() if draw.random() < 0.3 else word for word in said) + "!")
            cores.append(np.arange(len(names)) == core)
    return Planted(taxonomy, texts, np.array(cores), terms, classes, vectors)


def _pseudo_words(draw, count: int) -> list[str]:
    words = dict.fromkeys("".join(draw.choice(SYLLABLES, 3)) for _ in range(2 * count))
    return list(words)[:count]


def _near(draw, centre: np.ndarray) -> np.ndarray:
    """A vector whose cosine with the centre is about 0.5: similarity helps and does not decide."""
    return centre + 1.7 * draw.normal(size=centre.shape) / np.sqrt(len(centre)) + 0.3 / np.sqrt(len(centre))
