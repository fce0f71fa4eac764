"""A simulated language model that knows the made world: it reads what the methods really ask, and errs at known rates.

It names words of a class, some of them a sibling's; it picks classes for a text by the words that it sees, the worse
the more classes it may choose from; it writes texts on a path with few words of each class. Answers come in quotes,
with full stops, as lists and with names that there are not. What it knows is put in; what comes of it comes out.
"""

import collections
import dataclasses
import functools
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.common.llm.chance import make_generate, score_nothing
from experiments.common.llm.engine import Engine, simulated
from experiments.teleclass.world import WORDS, World, write
from jaxalign.io.llm.service import Ledger

_BULLET = re.compile(r"^- (.+)$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]+)"')
_COUNT = re.compile(r"^Name (\d+) ", re.MULTILINE)
_BELOW = re.compile(r"which is below (.+?)\. Answer")


@dataclasses.dataclass(frozen=True)
class SimulatedLabeller:
    """Rates in [0, 1]."""

    world: World
    right_terms: int = 4  # of the words that it names for a class, the others are a sibling's or nobody's
    glance: float = 0.6  # of the words of a text it looks at
    confusion: float = 0.05  # for each doubling of the classes to choose from: the chance to pick any of them
    unknown: float = 0.04  # of the answers name a class that there is not
    known_words: int = 5  # of each class, that it writes texts with

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
    def _owners(self) -> Mapping[str, int]:
        """The class of each word."""
        return {word: number for number, words in enumerate(self.world.terms) for word in words}

    def pick_classes(self, prompt: str, rng: random.Random) -> str:
        """Picks from the classes of the list the one whose words, and those below it, it sees most."""
        listed, _, rest = prompt.partition("\n\n")
        names = _BULLET.findall(listed)
        text = rest.split("\n\n")[1]
        numbers = [self.world.taxonomy.names.index(name.rpartition(" > ")[2]) for name in names]
        seen = collections.Counter(
            self._owners[word] for word in text.split() if word in self._owners and rng.random() < self.glance
        )
        below = self.world.taxonomy.descendants
        scores = [sum(count for owner, count in seen.items() if below[number, owner]) for number in numbers]
        # Of two classes, one above the other, the lower one is more specific; the upper one has its words too.
        depth = [int(self.world.taxonomy.levels[number]) for number in numbers]
        best = max(range(len(names)), key=lambda place: (scores[place] * (1 + 0.7 * depth[place]), rng.random()))
        if rng.random() < self.confusion * math.log2(max(len(names), 2)):
            best = rng.randrange(len(names))
        said = f"no {names[best]}s" if rng.random() < self.unknown else names[best]
        return rng.choice((said, f'"{said}"', f"{said}.", f"- {said}", f"The class is {said}.", said.upper()))

    def name_terms(self, prompt: str, rng: random.Random) -> str:
        """Names words of a class, of a sibling, and words of no meaning."""
        taxonomy = self.world.taxonomy
        number, count = taxonomy.names.index(_QUOTED.search(prompt)[1]), int(_COUNT.search(prompt)[1])
        siblings = sorted({other for family in taxonomy.sibling_sets(number) for other in family})
        right = list(self.world.terms[number][: min(self.right_terms, count)])
        wrong = [rng.choice(self.world.terms[rng.choice(siblings)]) for _ in range((count - len(right)) // 2 + 1)]
        other = rng.sample(list(self.world.fillers), count)
        distinct = list(dict.fromkeys([*right, *wrong, *other]))[:count]
        return "Sure! Here they are:\n" + "\n".join(f"- {term}" for term in distinct)

    def write_text(self, prompt: str, rng: random.Random) -> str:
        """Writes a text on a path, with the few words of each class that it knows."""
        taxonomy = self.world.taxonomy
        above = _BELOW.search(prompt)
        names = [*(above[1].split(" > ") if above else ()), _QUOTED.search(prompt)[1]]
        path = [taxonomy.names.index(name) for name in names]
        return write(self.world, path, rng.randint(*WORDS), rng, terms=self.known_words)
