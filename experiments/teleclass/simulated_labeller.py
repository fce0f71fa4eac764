"""A simulated language model that knows the made world: it reads what the methods really ask, and errs at known rates.

It names words of a class that it knows or has, whether texts use them or not, and a few that are wrong. It picks
classes for a text by the words that it understands, the worse the more classes it may choose from. It writes texts on a
path with its own words. It goes by names: of two classes with the same one, where no path is said, it cannot tell which
is meant. Answers come in quotes, with full stops, as lists and with names that there are not. What it knows is put in;
what comes of it comes out.
"""

import collections
import dataclasses
import functools
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common.llm.chance import make_generate, score_nothing
from experiments.common.llm.engine import Engine, simulated
from experiments.teleclass.world import WORDS, World, write
from jaxalign.io.llm.service import Ledger

_BULLET = re.compile(r"^- (.+)$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]+)"')
_COUNT = re.compile(r"^Name (\d+) ", re.MULTILINE)
_UNDER = re.compile(r'below the class(?:es)? "([^"]+)"')
_BELOW = re.compile(r"which is below (.+?)\. Answer")


@dataclasses.dataclass(frozen=True)
class SimulatedLabeller:
    """Rates in [0, 1]."""

    world: World
    wrong_terms: int = 2  # of those that it names for a class are a sibling's or nobody's
    glance: float = 0.6  # of the words that it knows it sees in a text
    guess: float = 0.25  # of the other words of classes it understands
    confusion: float = 0.03  # for each doubling of the classes to choose from: the chance to pick any of them
    unknown: float = 0.04  # of the answers name a class that there is not

    def open(self, ledger: Ledger) -> Engine:
        """Returns the model as callables."""
        return simulated("simulated labeller", self.generate, score_nothing, ledger)

    def generate(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        """Writes texts, the same for the same prompt and seed."""
        kinds = {
            "These are names of classes": self.pick_classes,
            '"': self.name_terms,
            "Write one text": self.write_text,
        }
        return make_generate(kinds)(prompts, **options)

    @functools.cached_property
    def _words(self) -> Mapping[str, tuple[int, float]]:
        """The class of each word, and the chance that the word is understood; a name of two classes says of neither."""
        world, chances = self.world, {}
        for number, name in enumerate(world.taxonomy.names):
            own = [*world.known[number], *world.ideas[number], *([name] if len(self._classes[name]) == 1 else [])]
            chances |= dict.fromkeys(world.terms[number], (number, self.guess))
            chances |= dict.fromkeys(own, (number, self.glance))
        return chances

    @functools.cached_property
    def _classes(self) -> Mapping[str, Sequence[int]]:
        """The classes that a name may mean: one for a path from a root, two for a name that stands below two roots."""
        taxonomy = self.world.taxonomy
        found = collections.defaultdict(list)
        ways: dict[int, list[str]] = {}
        for number in np.argsort(taxonomy.levels, kind="stable").tolist():
            above = [f"{way} > " for parent in taxonomy.parents[number] for way in ways[parent]] or [""]
            ways[number] = [way + taxonomy.names[number] for way in above]
            for name in dict.fromkeys([taxonomy.names[number], *ways[number]]):
                found[name].append(number)
        return found

    @functools.cached_property
    def _above(self) -> Sequence[frozenset[int]]:
        """Each class and what stands above it."""
        return [frozenset(np.flatnonzero(row).tolist()) for row in self.world.taxonomy.ancestors]

    def pick_classes(self, prompt: str, rng: random.Random) -> str:
        """Picks the class of the list that it sees most of."""
        listed, _, rest = prompt.partition("\n\n")
        names = _BULLET.findall(listed)
        text = rest.split("\n\n")[1]
        words = [self._words[word] for word in text.split() if word in self._words]
        seen = collections.Counter(owner for owner, chance in words if rng.random() < chance)
        scores = self._score([self._classes[name] for name in names], seen)
        best = max(range(len(names)), key=lambda place: (scores[place], rng.random()))
        if rng.random() < self.confusion * math.log2(max(len(names), 2)):
            best = rng.randrange(len(names))
        said = f"no {names[best]}s" if rng.random() < self.unknown else names[best]
        return rng.choice((said, f'"{said}"', f"{said}.", f"- {said}", f"The class is {said}.", said.upper()))

    def _score(self, meant: Sequence[Sequence[int]], seen: Mapping[int, int]) -> list[float]:
        """Scores names of a list by the classes that they may mean and the words that are seen of each class.

        A word speaks for the lowest class of the list that it is on, and half as much for those below that one.
        """
        levels, scores = self.world.taxonomy.levels, [0.0] * len(meant)
        for owner, count in seen.items():
            on = [each for of in meant for each in of if each in self._above[owner]]
            lowest = max((levels[each] for each in on), default=0)
            nearest = {each for each in on if levels[each] == lowest}
            for place, of in enumerate(meant):
                if nearest.intersection(of):
                    scores[place] += count
                elif any(nearest & self._above[each] for each in of):
                    scores[place] += count / 2
        return scores

    def name_terms(self, prompt: str, rng: random.Random) -> str:
        """Names words that it knows or has for a class, words of siblings, and words of no meaning."""
        taxonomy, count = self.world.taxonomy, int(_COUNT.search(prompt)[1])
        above, name = _UNDER.search(prompt), _QUOTED.search(prompt)[1]
        (number,) = self._classes[f"{above[1]} > {name}" if above else name]
        siblings = sorted({other for family in taxonomy.sibling_sets(number) for other in family})
        right = [*self.world.known[number], *self.world.ideas[number]][: max(count - self.wrong_terms, 0)]
        wrong = [rng.choice(self.world.terms[rng.choice(siblings)]) for _ in range((count - len(right)) // 2)]
        other = rng.sample(list(self.world.fillers), count)
        distinct = list(dict.fromkeys([*right, *wrong, *other]))[:count]
        return "Sure! Here they are:\n" + "\n".join(f"- {term}" for term in distinct)

    def write_text(self, prompt: str, rng: random.Random) -> str:
        """Writes a text on a path, with the words of each class that it knows or has."""
        above = _BELOW.search(prompt)
        names = [*(above[1].split(" > ") if above else ()), _QUOTED.search(prompt)[1]]
        path = [self._classes[" > ".join(names[: place + 1])][0] for place in range(len(names))]
        words = [[*known, *ideas] for known, ideas in zip(self.world.known, self.world.ideas, strict=True)]
        return write(self.world, path, rng.randint(*WORDS), rng, words)
