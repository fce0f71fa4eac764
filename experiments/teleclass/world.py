"""A made world: a taxonomy with words for each class, texts of a topic model with true labels, and what words mean.

A class has words of its own, and meaning is a direction: a class lies near its parents, its words near it, and its name
says less than its words. A text is on a path from a root down to a class: most of its words with a meaning are of the
class, some of those above it, some of a sibling or of any class. One class in ten has two parents, some have no text to
learn from, and some texts stop at an inner class.
"""

import dataclasses
import functools
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.common.llm.chance import rng_of
from experiments.common.made_words import distinct_words
from jaxalign.taxonomy import Taxonomy

ROOTS, CHILDREN, LEAVES = 4, 3, 3
TWO_PARENTS = 4  # leaves that have a second parent, below another root
WITHOUT_TEXTS = 3  # leaves without a text to learn from
TERMS, FILLERS = 24, 150  # words of a class, and of all texts
WIDTH = 96  # of the space in which words have a meaning
INNER = 0.15  # of the texts are on an inner class
WORDS = (25, 60)  # the shortest and the longest text
# Of the words of a text, the shares that are of its class, of those above it, of a sibling, and of any class.
SHARES = {"class": 0.16, "above": 0.1, "sibling": 0.05, "any": 0.07}
CLOSENESS = {"parent": 0.6, "term": 0.4, "name": 0.35}  # cosines to what something is near, about


class Text(NamedTuple):
    """A text, and the classes on the path that it is about, from the root down."""

    text: str
    labels: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class World:
    """A taxonomy, the words of each class, words of no meaning, and a vector for each word."""

    taxonomy: Taxonomy
    terms: Sequence[Sequence[str]]
    fillers: Sequence[str]
    vectors: Mapping[str, Float[np.ndarray, "D"]]
    silent: frozenset[int]  # classes without a text to learn from

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """Returns the mean of the vectors of each text's words, as a unit vector; other words mean nothing."""
        nothing = np.zeros(WIDTH, np.float32)
        sums = np.stack([sum((self.vectors.get(word, nothing) for word in text.split()), nothing) for text in texts])
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)


@functools.lru_cache(maxsize=8)
def make_world(seed: int) -> World:
    """Makes a world."""
    rng = rng_of("taxonomy", seed)
    parents = _make_parents(rng)
    words = distinct_words(rng)
    names = tuple(next(words) for _ in parents)
    taxonomy = Taxonomy(names, tuple(parents))
    terms = [[next(words) for _ in range(TERMS)] for _ in names]
    fillers = [next(words) for _ in range(FILLERS)]
    vectors = _make_vectors(taxonomy, terms, fillers, np.random.default_rng(rng.getrandbits(64)))
    leaves = [leaf for leaf in taxonomy.leaves if len(taxonomy.parents[leaf]) == 1]
    return World(taxonomy, terms, fillers, vectors, frozenset(rng.sample(leaves, WITHOUT_TEXTS)))


def make_texts(world: World, count: int, rng: random.Random, *, all_classes: bool) -> list[Text]:
    """Draws texts on a class each, any with the same chance.

    Args:
      all_classes: True has texts of every class, False leaves out those that have none to learn from.
    """
    taxonomy = world.taxonomy
    leaves = [leaf for leaf in taxonomy.leaves if all_classes or leaf not in world.silent]
    inner = [number for number in range(len(taxonomy)) if number not in taxonomy.leaves and taxonomy.parents[number]]
    texts = []
    for _ in range(count):
        number = rng.choice(inner if rng.random() < INNER else leaves)
        path = path_to(taxonomy, number, rng)
        texts.append(Text(write(world, path, rng.randint(*WORDS), rng), path))
    return texts


def write(world: World, path: Sequence[int], length: int, rng: random.Random, terms: int = TERMS) -> str:
    """Writes a text of so many words.

    Args:
      path: from a root down to the class that it is about.
      terms: words of each class that the writer knows, the first ones.
    """
    taxonomy, number = world.taxonomy, path[-1]
    siblings = sorted({other for family in taxonomy.sibling_sets(number) for other in family}) or [number]
    classes = {
        "class": lambda: number,
        "above": lambda: rng.choice(path[:-1] or path),
        "sibling": lambda: rng.choice(siblings),
        "any": lambda: rng.randrange(len(taxonomy)),
    }
    weights = [*SHARES.values(), 1 - sum(SHARES.values())]
    kinds = rng.choices([*classes, "filler"], weights, k=length)
    return " ".join(
        rng.choice(world.fillers if kind == "filler" else world.terms[classes[kind]()][:terms]) for kind in kinds
    )


def path_to(taxonomy: Taxonomy, number: int, rng: random.Random) -> tuple[int, ...]:
    """Draws a way from a root down to a class."""
    path = [number]
    while parents := taxonomy.parents[path[0]]:
        path.insert(0, rng.choice(parents))
    return tuple(path)


def _make_parents(rng: random.Random) -> list[tuple[int, ...]]:
    """The parents of each class: roots first, then their children, then the leaves."""
    roots = list(range(ROOTS))
    middle = [(root,) for root in roots for _ in range(CHILDREN)]
    inner = list(range(ROOTS, ROOTS + len(middle)))
    leaves: list[tuple[int, ...]] = [(parent,) for parent in inner for _ in range(LEAVES)]
    for place in rng.sample(range(len(leaves)), TWO_PARENTS):
        (parent,) = leaves[place]
        others = [other for other in inner if middle[other - ROOTS] != middle[parent - ROOTS]]
        leaves[place] = tuple(sorted((parent, rng.choice(others))))
    return [() for _ in roots] + middle + leaves


def _make_vectors(
    taxonomy: Taxonomy, terms: Sequence[Sequence[str]], fillers: Sequence[str], rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "D"]]:
    directions: dict[int, np.ndarray] = {}
    for number in np.argsort(taxonomy.levels, kind="stable").tolist():
        above = [directions[parent] for parent in taxonomy.parents[number]]
        directions[number] = _near(np.mean(above, axis=0), CLOSENESS["parent"], rng) if above else _unit(rng)
    vectors = {filler: (0.3 * _unit(rng)).astype(np.float32) for filler in fillers}
    for number, name in enumerate(taxonomy.names):
        vectors[name] = _near(directions[number], CLOSENESS["name"], rng)
        vectors |= {term: _near(directions[number], CLOSENESS["term"], rng) for term in terms[number]}
    return vectors


def _near(vector: np.ndarray, cosine: float, rng: np.random.Generator) -> Float[np.ndarray, "D"]:
    """A unit vector at about this cosine to another."""
    noise = _unit(rng)
    found = cosine * vector / np.linalg.norm(vector) + np.sqrt(1 - cosine**2) * noise
    return (found / np.linalg.norm(found)).astype(np.float32)


def _unit(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=WIDTH)
    return vector / np.linalg.norm(vector)
