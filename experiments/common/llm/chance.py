"""What simulated language models share: draws that depend on the seed and the prompt only, and scores of options."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxalign.typing import GenerateFn, OptionScore

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
    if (kind := _of_beginning(kinds, ending)) is None:
        raise ValueError(
            f"a simulated model knows prompts that end with {', '.join(kinds)}, and this one ends {ending!r}"
        )
    return kind


def make_generate(kinds: Mapping[str, Callable[[str, random.Random], str]]) -> GenerateFn:
    """Makes a simulated model that writes in the way whose name begins a prompt, equal texts for prompt and seed.

    Text k of a prompt has the seed of text 0 and k more. It raises ValueError for prompts that begin in another way.

    Args:
      kinds: writes the answer to a prompt, by how the prompt begins; the first that fits counts.
    """

    def generate(prompts: Sequence[str], *, n: int = 1, seed: int | None = None, **_: Any) -> list[list[str]]:
        writers = [_of_beginning(kinds, prompt) for prompt in prompts]
        if None in writers:
            raise ValueError(
                f"a simulated model knows prompts that begin with {', '.join(kinds)}, and this one begins "
                f"{prompts[writers.index(None)][:60]!r}"
            )
        return [
            [write(prompt, rng_of((seed or 0) + k, prompt)) for k in range(n)]
            for write, prompt in zip(writers, prompts, strict=True)
        ]

    return generate


def score_nothing(prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
    """Raises ValueError: the options of a simulated model that only writes."""
    raise ValueError("this simulated model writes, and scores no options")


def _of_beginning(kinds: Mapping[str, Callable], text: str) -> Callable | None:
    return next((kind for name, kind in kinds.items() if text.startswith(name)), None)
