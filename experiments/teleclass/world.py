"""A made world: a taxonomy with words for each class, texts of a topic model with true labels, and what words mean.

It is like real taxonomies in what the steps of TELEClass are for. There are more roots, and more leaves below a class,
than the search for candidates keeps. Names are short: a quarter of them say nothing or lie near another class, some
stand below two roots, and few texts have the name of their class. Texts have words for a class of which a model knows
some or none, and an encoder less than of others, as with brands; a model has words for it that no text uses.

Meaning is a direction: a class lies near its parents, and its words near it. A text is on a path from a root down to a
class: most of its words with a meaning are of the class, some of those above it, some of a sibling or of any class.
Some leaves have two parents, some have no text to learn from, and some texts stop at an inner class.
"""

import dataclasses
import functools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.common.llm.chance import rng_of
from experiments.common.made_words import distinct_words
from jaxalign.taxonomy import Taxonomy

ROOTS, CHILDREN, LEAVES = 6, 2, 8  # of which the search keeps 3, 4 and 5
TWO_PARENTS = 4  # leaves that have a second parent, below another root
SHARED = 4  # names that stand below two roots
WITHOUT_TEXTS = 3  # leaves without a text to learn from
TERMS, FILLERS = 12, 150  # words that texts use for a class, and of all texts
KNOWN = (0, 0, 1, 3)  # of the words of a class: how many a model knows, each as likely
IDEAS = 8  # words that a model has for a class and no text uses
WIDTH = 96  # of the space in which words have a meaning
INNER = 0.15  # of the texts are on an inner class
WORDS = (25, 60)  # the shortest and the longest text
# Of the words of a text, the shares that are of its class, of those above it, of a sibling, and of any class.
SHARES = {"class": 0.16, "above": 0.1, "sibling": 0.05, "any": 0.07}
NAMED = 0.02  # of the words of a class in a text are its name
WEAK, MISLEADING = 0.15, 0.1  # of the names say next to nothing, or lie near any other class
# Cosines to what something is near, about.
CLOSENESS = {"parent": 0.6, "known": 0.45, "unknown": 0.25, "name": 0.5, "weak": 0.05}


class Text(NamedTuple):
    """A text, and the classes on the path that it is about, from the root down."""

    text: str
    labels: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class World:
    """A taxonomy, words of each class, words of no meaning, and a vector for each word."""

    taxonomy: Taxonomy
    terms: Sequence[Sequence[str]]  # that texts use
    known: Sequence[Sequence[str]]  # those of them that a model knows
    ideas: Sequence[Sequence[str]]  # that a model has, and no text uses
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
    taxonomy = _name(parents, words, rng)
    terms = [[next(words) for _ in range(TERMS)] for _ in parents]
    known = [each[: rng.choice(KNOWN)] for each in terms]
    ideas = [[next(words) for _ in range(IDEAS)] for _ in parents]
    fillers = [next(words) for _ in range(FILLERS)]
    vectors = _Vectors(np.random.default_rng(rng.getrandbits(64))).make(taxonomy, terms, known, ideas, fillers)
    leaves = [leaf for leaf in taxonomy.leaves if len(taxonomy.parents[leaf]) == 1]
    silent = frozenset(rng.sample(leaves, WITHOUT_TEXTS))
    return World(taxonomy, terms, known, ideas, fillers, vectors, silent)


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


def write(
    world: World,
    path: Sequence[int],
    length: int,
    rng: random.Random,
    words: Sequence[Sequence[str]] | None = None,
) -> str:
    """Writes a text of so many words.

    Args:
      path: from a root down to the class that it is about.
      words: of each class, that the writer has; None for those that texts use.
    """
    taxonomy, number, words = world.taxonomy, path[-1], words or world.terms
    siblings = sorted({other for family in taxonomy.sibling_sets(number) for other in family}) or [number]
    classes = {
        "class": lambda: number,
        "above": lambda: rng.choice(path[:-1] or path),
        "sibling": lambda: rng.choice(siblings),
        "any": lambda: rng.randrange(len(taxonomy)),
    }

    def word(kind: str) -> str:
        if kind == "filler":
            return rng.choice(world.fillers)
        about = classes[kind]()
        return taxonomy.names[about] if rng.random() < NAMED else rng.choice(words[about])

    weights = [*SHARES.values(), 1 - sum(SHARES.values())]
    return " ".join(map(word, rng.choices([*classes, "filler"], weights, k=length)))


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


def _name(parents: Sequence[tuple[int, ...]], words: Iterator[str], rng: random.Random) -> Taxonomy:
    """Names classes by a word each, some of them as a class below another root is named."""
    ids = tuple(next(words) for _ in parents)
    names = list(ids)
    unnamed = Taxonomy(ids, tuple(parents))
    lower = [number for number in range(len(ids)) if len(parents[number]) == 1]
    for _ in range(SHARED):
        one, *others = rng.sample(lower, len(lower))
        tops = unnamed.ancestors[:, list(unnamed.roots)]
        other = next(each for each in others if not (tops[one] & tops[each]).any())
        names[other] = names[one]
        lower = [number for number in lower if number not in (one, other)]
    return Taxonomy(tuple(names), tuple(parents), ids)


class _Vectors:
    """Draws what words mean."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def make(self, taxonomy: Taxonomy, terms, known, ideas, fillers: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the vector of each word."""
        classes = self.directions(taxonomy)
        vectors = {filler: (0.3 * self.unit()).astype(np.float32) for filler in fillers}
        for direction, of_texts, of_model, more in zip(classes, terms, known, ideas, strict=True):
            for word in (*of_texts, *more):
                kind = "known" if word in of_model or word in more else "unknown"
                vectors[word] = self.near(direction, CLOSENESS[kind])
        named: dict[str, list[int]] = {}
        for number, name in enumerate(taxonomy.names):
            named.setdefault(name, []).append(number)
        for name, numbers in named.items():
            kind = self.rng.choice(("weak", "misleading", "name"), p=(WEAK, MISLEADING, 1 - WEAK - MISLEADING))
            about = [self.rng.integers(len(classes))] if kind == "misleading" else numbers
            meant = np.mean([classes[each] for each in about], axis=0)
            vectors[name] = self.near(meant, CLOSENESS["weak" if kind == "weak" else "name"])
        return vectors

    def directions(self, taxonomy: Taxonomy) -> list[np.ndarray]:
        """Returns the direction of each class, near those of its parents."""
        found: dict[int, np.ndarray] = {}
        for number in np.argsort(taxonomy.levels, kind="stable").tolist():
            above = [found[parent] for parent in taxonomy.parents[number]]
            found[number] = self.near(np.mean(above, axis=0), CLOSENESS["parent"]) if above else self.unit()
        return [found[number] for number in range(len(taxonomy))]

    def near(self, vector: np.ndarray, cosine: float) -> Float[np.ndarray, "D"]:
        """Returns a unit vector at about this cosine to another."""
        mixed = cosine * vector / np.linalg.norm(vector) + np.sqrt(1 - cosine**2) * self.unit()
        return (mixed / np.linalg.norm(mixed)).astype(np.float32)

    def unit(self) -> np.ndarray:
        """Returns any unit vector."""
        vector = self.rng.normal(size=WIDTH)
        return vector / np.linalg.norm(vector)
