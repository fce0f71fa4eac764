"""What simulated language models share: draws that depend on the seed and the prompt only, and scores of options."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxalign.typing import OptionScore

OTHER_TEXTS = 0.05  # of the probability goes to texts that are no option
MALFORMED = ("I am only a language model.", "", "...")


def rng_of(*parts: Any) -> random.Random:
    """Makes a generator for these parts: equal ones give equal draws, in any process."""
    return random.Random("\n".join(map(str, parts)))


def scores_of(logits: Sequence[float], options: Sequence[str]) -> list[OptionScore]:
    """Returns log-probabilities of options, a token a word, with these logits."""
    largest = max(logits)
    total = largest + math.log(sum(math.exp(logit - largest) for logit in logits)) - math.log(1 - OTHER_TEXTS)
    return [OptionScore(logit - total, len(option.split())) for logit, option in zip(logits, options, strict=True)]


def draw(rng: random.Random, logits: Sequence[float], temperature: float) -> int:
    """Draws a place with the probabilities of ``softmax(logits / temperature)``; at 0 the most likely one."""
    if temperature == 0:
        return max(range(len(logits)), key=logits.__getitem__)
    largest = max(logits)
    return rng.choices(range(len(logits)), [math.exp((logit - largest) / temperature) for logit in logits])[0]


def dispatch(kinds: Mapping[str, Callable], ending: str) -> Callable:
    """Finds the one of ``kinds`` whose name begins the last line of a prompt.

    Raises:
      ValueError: if the prompt ends in another way, which is none that the simulated model has learnt.
    """
    for name, kind in kinds.items():
        if ending.startswith(name):
            return kind
    raise ValueError(f"a simulated model knows prompts that end with {', '.join(kinds)}, and this one ends {ending!r}")
