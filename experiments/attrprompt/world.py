"""A made world of texts with a known truth: what real texts of each class are about, and how they are written.

A class is a set of topics, each with words of its own; a text also has a style and a region, which say nothing of its
class. Real texts are on all topics of their class alike, in all styles and from all regions. Neighbouring classes are
easily confused: some names sound as if they belonged to one class and stand for a topic of its neighbour.
"""

import collections
import dataclasses
import functools
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.common.llm.chance import rng_of
from experiments.common.made_words import distinct_words
from jaxalign.attributes import ClassAttribute, SharedAttribute, Task

NUM_CLASSES, NUM_TOPICS, NUM_STYLES, NUM_REGIONS = 6, 8, 5, 5
TOPIC_WORDS, CLASS_WORDS, STYLE_WORDS, REGION_WORDS, FILLERS = 7, 3, 8, 6, 60
NUM_AMBIGUOUS = 3  # names under a class that stand for topics of a neighbour
NUM_SIMILAR = 2  # neighbours of a class
# Of the words of a text, the shares that its topic, class, style and region decide; the others are fillers.
SHARES = {"topic": 0.2, "class": 0.01, "style": 0.2, "region": 0.12}
MENTIONS = 0.1  # of the real texts name their class
WORDS = (20, 60)  # the shortest and the longest real text
SUBTOPIC, STYLE, REGION = "subtopic", "style", "region"


class Text(NamedTuple):
    """A text with its truth."""

    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class World:
    """Words by what they stand for; all are distinct.

    ``topics[label]`` has the words of each topic by its name, ``ambiguous[label]`` the topic of a neighbour, as
    (label, name), for each name that stands under a class and is about another.
    """

    topics: Mapping[str, Mapping[str, Sequence[str]]]
    ambiguous: Mapping[str, Mapping[str, tuple[str, str]]]
    classes: Mapping[str, Sequence[str]]
    styles: Mapping[str, Sequence[str]]
    regions: Mapping[str, Sequence[str]]
    fillers: Sequence[str]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(self.topics)

    def similar(self, label: str) -> tuple[str, ...]:
        """Returns the neighbours of a class, on a ring."""
        place = self.labels.index(label)
        return tuple(self.labels[(place + step) % len(self.labels)] for step in (1, -1))

    def topic_of(self, name: str) -> tuple[str, str] | None:
        """Returns the class and the name of the topic that a name is about; None if it is no topic."""
        for label, topics in self.topics.items():
            if name in topics:
                return label, name
            if name in self.ambiguous[label]:
                return self.ambiguous[label][name]
        return None

    def vocabulary(self) -> list[str]:
        """Returns all words, in the order in which they were made."""
        topics = (words for each in self.topics.values() for words in each.values())
        others = (words for each in (self.classes, self.styles, self.regions) for words in each.values())
        return list(dict.fromkeys([*self.labels, *self.fillers, *sum(map(list, [*topics, *others]), [])]))


@functools.lru_cache(maxsize=8)
def make_world(seed: int) -> World:
    """Makes the words of a world."""
    rng = rng_of("world", seed)
    words = distinct_words(rng)

    def some(count: int) -> list[str]:
        return [next(words) for _ in range(count)]

    labels = some(NUM_CLASSES)
    topics = {label: {" ".join(some(2)): some(TOPIC_WORDS) for _ in range(NUM_TOPICS)} for label in labels}
    styles = {next(words): some(STYLE_WORDS) for _ in range(NUM_STYLES)}
    regions = {next(words): some(REGION_WORDS) for _ in range(NUM_REGIONS)}
    plain = World(topics, {}, {label: some(CLASS_WORDS) for label in labels}, styles, regions, some(FILLERS))
    ambiguous = {}
    for label in labels:
        meant = [(other, name) for other in plain.similar(label) for name in topics[other]]
        ambiguous[label] = {" ".join(some(2)): each for each in rng.sample(meant, NUM_AMBIGUOUS)}
    return dataclasses.replace(plain, ambiguous=ambiguous)


def make_task(world: World) -> Task:
    """Returns the task as a person would write it: classes, attributes without values, and lengths."""
    attributes = (
        ClassAttribute(SUBTOPIC, "subtopic"),
        SharedAttribute(STYLE, "writing style"),
        SharedAttribute(REGION, "region"),
    )
    return Task("report", {label: label for label in world.labels}, attributes, lengths=(20, 40), room=20)


def real_texts(world: World, count: int, rng: random.Random) -> list[Text]:
    """Draws real texts, as many of each class up to one."""
    texts = []
    for number in range(count):
        label = world.labels[number % len(world.labels)]
        topic, style, region = (rng.choice(list(each)) for each in (world.topics[label], world.styles, world.regions))
        text = write(world, label, (label, topic), style, region, rng.randint(*WORDS), rng)
        texts.append(Text(mention(text, label, MENTIONS, rng), label))
    return texts


def write(
    world: World, label: str, topic: tuple[str, str], style: str, region: str, length: int, rng: random.Random
) -> str:
    """Writes a text of so many words.

    Args:
      topic: the class whose topic it is, and its name.
    """
    kinds = {
        "topic": world.topics[topic[0]][topic[1]],
        "class": world.classes[label],
        "style": world.styles[style],
        "region": world.regions[region],
        "filler": world.fillers,
    }
    weights = [*SHARES.values(), 1 - sum(SHARES.values())]
    return " ".join(rng.choice(kinds[kind]) for kind in rng.choices(list(kinds), weights, k=length))


def mention(text: str, label: str, share: float, rng: random.Random) -> str:
    """Puts the name of the class into a share of the texts, at any place."""
    if rng.random() >= share:
        return text
    words = text.split()
    words.insert(rng.randrange(len(words) + 1), label)
    return " ".join(words)


def read_truth(world: World, text: str) -> dict[str, str]:
    """Reads the subtopic, style and region of a text: those of which it has the most words.

    A text without a word of any has none; of equal counts the first one counts.
    """
    words = collections.Counter(text.split())
    topics = {name: each for topics in world.topics.values() for name, each in topics.items()}
    found = {}
    for name, known in {SUBTOPIC: topics, STYLE: world.styles, REGION: world.regions}.items():
        counts = {value: sum(words[word] for word in of) for value, of in known.items()}
        best = max(counts, key=counts.__getitem__)
        if counts[best]:
            found[name] = best
    return found
