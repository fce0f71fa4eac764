"""A simulated language model that answers and explains puzzles: it reads what ensembles really ask.

It takes the rendered prompts apart, finds the world's facts and claims in them, and errs at rates that are known:
an explanation is valid with some probability, a wrong one pulls the answer to what it claims, a scorer tells them apart
the better the more examples it has seen and otherwise goes by what it believes anyway, and some texts are malformed.
That valid explanations help and that examples help a scorer are put in, not found out. A scorer's examples are counted
and not read, its two words mean the same whatever they are, and other texts have a fixed share: kinds of negatives,
verbalizers and raw weights make no difference here.
"""

import dataclasses
import functools
import random
import re
from collections.abc import Sequence

from experiments.common.llm.chance import MALFORMED, dispatch, draw, rng_of, scores_of
from experiments.common.llm.engine import Engine, simulated
from experiments.ease import puzzles_world as world
from experiments.ease.puzzles_world import Claim
from jaxalign.io.llm.service import Ledger
from jaxalign.typing import OptionScore


@dataclasses.dataclass(frozen=True)
class SimulatedAnswerer:
    """Rates in [0, 1] and strengths in nats."""

    knowledge: float = 0.6  # the mean lead of the right answer without any explanation
    doubt: float = 1.2  # how far beliefs about the options scatter, fixed for each question
    order: float = 0.5  # and how far the order of the demonstrations moves them
    hindsight: float = 0.2  # more lead after demonstrations whose explanations follow their answers
    validity: float = 0.45  # the mean share of valid explanations; it varies between questions
    temptation: float = 0.5  # the share of wrong explanations of a question that claim the same
    pull: float = 1.4  # of an explanation to its claim, valid or not
    insight: float = 0.8  # more of it, if the explanation is valid
    malformed: float = 0.04  # of the texts
    assent: float = 2.0  # a scorer without examples says Yes to anything
    untaught: float = 0.4  # how well it tells valid from wrong
    taught: float = 1.5  # how well one with many examples does
    half: float = 8.0  # examples at which it is half way
    noise: float = 1.0  # of its judgement
    vanity: float = 0.4  # how much it goes by its belief in the label that an explanation states

    def open(self, ledger: Ledger) -> Engine:
        """Returns the model as callables."""
        return simulated("simulated answerer", self.generate, self.score_options, ledger)

    def generate(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[str]]:
        """Writes texts, the same for the same prompt, seed and number."""
        return [[self._write(prompt, temperature, rng_of(seed, k, prompt)) for k in range(n)] for prompt in prompts]

    def score_options(self, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        """Scores the options, the same for the same prompt."""
        kinds = {
            "Answer:": self._answer,
            "Good explanation:": lambda prompt: [self._approve(prompt), 0.0],
            "Better explanation:": lambda prompt: [self._compare(prompt), 0.0],
        }
        logits = [dispatch(kinds, prompt.rpartition("\n")[2])(prompt) for prompt in prompts]
        return [scores_of(each, names) for each, names in zip(logits, options, strict=True)]

    def _write(self, prompt: str, temperature: float, rng: random.Random) -> str:
        block = _block(prompt)
        names = list(world.read_facts(block))
        given = re.search(r"^Answer: (\S+)$", block, re.MULTILINE)
        if rng.random() < self.malformed:
            return rng.choice(MALFORMED)
        if given:
            name = names[_place(given[1], names)]
            return f" {world.explain(Claim(name, rng.randrange(50, 120)))}"
        explanation = world.explain(self._claim(block, rng))
        logits = self._answer(f"{prompt} {explanation}\nAnswer:")
        # An answer is drawn at the temperature of the text, from the probabilities that it is scored with.
        chosen = draw(rng, logits, temperature)
        return f" {explanation}\nAnswer:{_name(chosen, block)}"

    def _claim(self, block: str, rng: random.Random) -> Claim:
        facts = world.read_facts(block)
        names, best = list(facts), max(facts, key=facts.__getitem__)
        own = rng_of("question", _question(block))
        share = min(max(self.validity + own.uniform(-0.35, 0.35), 0), 1)
        wrong = [name for name in names if name != best]
        tempting = own.choice(wrong)
        if rng.random() < share:
            return Claim(best, facts[best])
        name = tempting if rng.random() < self.temptation else rng.choice(wrong)
        return Claim(name, max(facts.values()) + rng.randrange(1, 20))

    def _answer(self, prompt: str) -> list[float]:
        """Returns logits of the options in their order: belief, and the pull of the explanation."""
        block = _block(prompt)
        facts = world.read_facts(_question(block))
        explained = "Explanation:" in prompt and "Explanation:" not in block
        belief = self._belief(prompt, hindsight=explained)
        claim = world.read_claim(block)
        if claim is None or claim.name not in facts:
            return belief
        pull = self.pull + self.insight * world.is_valid(claim, facts)
        return [logit + pull * (name == claim.name) for logit, name in zip(belief, facts, strict=True)]

    def _belief(self, prompt: str, *, hindsight: bool) -> list[float]:
        question = _question(_block(prompt))
        facts = world.read_facts(question)
        fixed, shown = rng_of("belief", question), rng_of("order", prompt.rpartition("\n\n")[0])
        lead = self.knowledge + self.hindsight * hindsight
        most = max(facts.values())
        return [
            lead * (number == most) + fixed.gauss(0, self.doubt) + shown.gauss(0, self.order)
            for number in facts.values()
        ]

    def _approve(self, prompt: str) -> float:
        block = _block(prompt)
        claim, question = world.read_claim(block), _question(block)
        if claim is None:
            return -self.assent
        examples = len(re.findall(r"^Good explanation: \S+$", prompt, re.MULTILINE))
        learnt = 1 - 0.5 ** (examples / self.half)
        sight = self.untaught + (self.taught - self.untaught) * learnt
        valid = world.is_valid(claim, world.read_facts(question))
        judged = (sight if valid else -sight) + rng_of("look", block).gauss(0, self.noise)
        return judged + self.assent * (1 - learnt) + self.vanity * self._stated(question, claim)

    def _stated(self, question: str, claim: Claim) -> float:
        """Returns the belief in the label that a claim states, against the mean of all; 0 if it is masked."""
        names = list(world.read_facts(question))
        belief = self._belief(question, hindsight=False)
        return belief[names.index(claim.name)] - sum(belief) / len(belief) if claim.name in names else 0.0

    def _compare(self, prompt: str) -> float:
        one, two = (re.search(rf"^Explanation {n}: (.*)$", prompt, re.MULTILINE)[1] for n in (1, 2))
        question = _question(_block(prompt))
        both = [f"Question: {question}\nExplanation: {each}\nGood explanation:" for each in (one, two)]
        first, second = map(self._approve, both)
        return first - second + self.noise / 2


def _block(prompt: str) -> str:
    return prompt.rpartition("\n\n")[2]


@functools.lru_cache(maxsize=4096)
def _question(block: str) -> str:
    return block.partition("Question: ")[2].partition("\n")[0] or block


def _name(place: int, block: str) -> str:
    """Returns the answer as the prompt has it: by name or by letter."""
    return f" {chr(ord('A') + place)}" if "\nA) " in block else f" {list(world.read_facts(_question(block)))[place]}"


def _place(answer: str, names: Sequence[str]) -> int:
    return names.index(answer) if answer in names else ord(answer) - ord("A")
