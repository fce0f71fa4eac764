"""A simulated language model that writes texts of the made world: it reads what the methods really ask.

Without requirements it falls into habits, as models do: most of its texts of a class are on two topics of it, in one
style and from one region. An instruction that asks for variety helps some. A requirement is followed mostly. It names
topics when asked for subtopics, some of them its neighbours', answers a share of the questions about them wrongly,
refuses some requests and opens some answers like a chat. All rates are fields: that requirements undo habits is put
in, not found out; that classifiers gain from it, and how much at what cost, is what comes out.
"""

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.attrprompt.world import REGION, STYLE, SUBTOPIC, World, mention, write
from experiments.common.llm.chance import make_generate, rng_of, score_nothing
from experiments.common.llm.engine import Engine, simulated
from jaxalign.attributes import OTHER
from jaxalign.io.llm.service import Ledger

REFUSAL = "I'm sorry, but I can't write this."
PREAMBLE = "Sure! Here is a report:\n\n"
INSTRUCTION = "Write about many different topics, in different styles and from different regions."
_CLASS = re.compile(r'the class "([^"]+)"')
_COUNT = re.compile(r"^(?:Name|Which|In which) (\d+) ", re.MULTILINE)
_ATTRIBUTE = re.compile(r'the attribute "([^"]+)"')
_REQUIREMENT = re.compile(r"^\d+\. The ([^:\n]+) is: (.+)$", re.MULTILINE)
_LENGTH = re.compile(r"^\d+\. The length is (\d+) to (\d+) words\.$", re.MULTILINE)
_PHRASES = {"subtopic": SUBTOPIC, "writing style": STYLE, "region": REGION}


@dataclasses.dataclass(frozen=True)
class SimulatedWriter:
    """Rates in [0, 1]."""

    world: World
    habit: float = 0.9  # of the texts without requirements are on its two favourite topics of the class
    instructed_habit: float = 0.8  # and of those whose instruction asks for variety
    manner: float = 0.8  # of the texts without requirements are in the class's favourite style, and region
    compliance: float = 0.92  # of each requirement
    error: float = 0.05  # of its answers to questions about values
    refusal: float = 0.03  # of the requests for texts
    preamble: float = 0.1  # of the texts
    mentions: float = 0.5  # of the texts name their class
    words: tuple[int, int] = (30, 50)  # the shortest and longest text, where no length is required

    def open(self, ledger: Ledger) -> Engine:
        """Returns the model as callables."""
        return simulated("simulated writer", self.generate, score_nothing, ledger)

    def generate(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        """Writes texts, the same for the same prompt and seed."""
        kinds = {
            "A collection of texts": self.name_dimensions,
            "Which ": self.name_similar,
            "Name ": self.name_values,
            "Classes of texts": self.judge_value,
            "A language model will": self.instruct,
            "You are a writer": self.write_report,
            INSTRUCTION: self.write_report,
            "Write one report": self.write_report,
        }
        return make_generate(kinds)(prompts, **options)

    def write_report(self, prompt: str, rng: random.Random) -> str:
        """Writes a text of a class, as the requirements say or by habit."""
        if rng.random() < self.refusal:
            return REFUSAL
        label = _CLASS.search(prompt)[1]
        asked = {_PHRASES[phrase]: value for phrase, value in _REQUIREMENT.findall(prompt) if phrase in _PHRASES}
        text = self._compose(label, asked, INSTRUCTION in prompt, _LENGTH.search(prompt), rng)
        return (PREAMBLE if rng.random() < self.preamble else "") + text

    def _compose(
        self, label: str, asked: Mapping[str, str], instructed: bool, length: re.Match | None, rng: random.Random
    ) -> str:
        world, own = self.world, rng_of("habits", label)
        favourites = own.sample(list(world.topics[label]), 2)
        topic = label, rng.choice(favourites if rng.random() < self._habit(instructed) else list(world.topics[label]))
        named = world.topic_of(asked.get(SUBTOPIC, OTHER))
        if named and rng.random() < self.compliance:
            topic = named
        elif asked.get(SUBTOPIC) == OTHER:  # an unusual one
            topic = label, rng.choice(list(world.topics[label]))
        manners = []
        for name, known in ((STYLE, world.styles), (REGION, world.regions)):
            favourite = own.choice(list(known))
            manner = favourite if rng.random() < self.manner else rng.choice(list(known))
            complies = asked.get(name) in known and rng.random() < self.compliance
            manners.append(asked[name] if complies else manner)
        shortest, longest = map(int, length.groups()) if length else self.words
        text = write(world, label, topic, *manners, rng.randint(shortest, longest), rng)
        return mention(text, label, self.mentions, rng)

    def _habit(self, instructed: bool) -> float:
        return self.instructed_habit if instructed else self.habit

    def instruct(self, prompt: str, rng: random.Random) -> str:
        """Writes the instruction of MetaPrompt."""
        return INSTRUCTION

    def name_dimensions(self, prompt: str, rng: random.Random) -> str:
        """Names what texts vary in."""
        return _listed(["subtopic", "writing style", "region", "mood"])

    def name_similar(self, prompt: str, rng: random.Random) -> str:
        """Names the neighbours of a class, and one class that there is not."""
        return _listed([*self.world.similar(_CLASS.search(prompt)[1]), "something else"])

    def name_values(self, prompt: str, rng: random.Random) -> str:
        """Names values of an attribute: all that there are up to the count, in an order of its own."""
        name, count = _PHRASES.get(_ATTRIBUTE.search(prompt)[1]), int(_COUNT.search(prompt)[1])
        if name == SUBTOPIC:
            label = _CLASS.search(prompt)[1]
            values = [*self.world.topics[label], *self.world.ambiguous[label]]
        else:
            values = list({STYLE: self.world.styles, REGION: self.world.regions}.get(name, ("good", "bad")))
        return _listed(rng.sample(values, min(count, len(values))))

    def judge_value(self, prompt: str, rng: random.Random) -> str:
        """Says whether a subtopic belongs to one of some classes, wrongly in a share of the answers."""
        classes = re.findall(r"^- (.+)$", prompt, re.MULTILINE)
        value = re.search(r"^Subtopic: (.+)$", prompt, re.MULTILINE)[1]
        topic = self.world.topic_of(value)
        belongs = topic is not None and topic[0] in classes
        return "Yes" if belongs != (rng.random() < self.error) else "No, it does not."


def _listed(items: Sequence[str]) -> str:
    return "Sure! Here are some:\n" + "\n".join(f"- {item}" for item in items)
