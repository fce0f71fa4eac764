"""Questions, and a language model that answers at random, deterministic by prompt and seed."""

import random

from jaxalign.data import Question
from jaxalign.typing import OptionScore

DEMONSTRATIONS = tuple(
    Question(f"demonstration {n}?", ("Yes", "Maybe", "No"), n % 3, (f"gold {n}.",), id=str(n)) for n in range(12)
)
QUESTIONS = [Question(f"test {n}?", ("Yes", "Maybe", "No"), n % 3) for n in range(6)]


class ByLot:
    """Both callables; ``asked`` has the prompts of every call."""

    def __init__(self, answers=("Yes", "Maybe", "No")):
        self.asked = []
        self.answers = answers

    def generate(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self.asked.append(list(prompts))
        return [
            [self._text(random.Random(f"{seed} {temperature} {k} {prompt}")) for k in range(n)] for prompt in prompts
        ]

    def score_options(self, prompts, options):
        self.asked.append(list(prompts))
        return [
            [OptionScore(-random.Random(prompt + option).expovariate(0.5), 1) for option in each]
            for prompt, each in zip(prompts, options, strict=True)
        ]

    def _text(self, rng):
        return f" lot {rng.randrange(1000)}.\nAnswer: {rng.choice(self.answers)}"
