"""Two kinds of texts whose quality is known: short answers, and long open texts that may go on in several ways.

Both answer the prompts of :mod:`experiments.common.sequences`. A short answer has one right letter in each place. A
walk is long and open: it goes round the right answer for :data:`WALK` letters, one or two places at each step, so that
as many texts are right as there are ways to go.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.common import sequences
from experiments.common.sequence_task import LIMITS
from jaxalign.data import PreferenceRecord

WALK = 24  # letters of a walk
STRIDES = (1, 2)  # places that a step of a walk may go on by


class Kind(NamedTuple):
    """One kind of text."""

    limits: tuple[int, int]  # tokens of a prompt and of a text
    row_length: int  # tokens of a row into which several demonstrations are packed
    write: Callable[[str, float, np.random.Generator], str]  # (prompt, share of careless letters, rng): a text
    quality: Callable[[str, str], float]  # (prompt, text): from 0 to 1


def write_answer(prompt: str, errors: float, rng: np.random.Generator) -> str:
    """Writes the right answer, in which each letter is careless, any of all letters, with the chance ``errors``."""
    record = PreferenceRecord(prompt, (sequences.answer_to(prompt),), (1.0,))
    return sequences.blur(record, errors, rng).responses[0]


def answer_quality(prompt: str, text: str) -> float:
    """Computes the share of places with the right letter.

    >>> answer_quality("reverse c a f =", "f a b")
    0.6666666666666666
    """
    return sequences.true_reward(text, sequences.answer_to(prompt))


def write_walk(prompt: str, errors: float, rng: np.random.Generator) -> str:
    """Writes a walk, in which each letter is careless, any of all letters, with the chance ``errors``."""
    ways, letters = _ways(prompt), []
    for _ in range(WALK):
        right = ways.get(letters[-1] if letters else "", ways[""])
        letters.append(rng.choice(list(sequences.LETTERS) if rng.random() < errors else right))
    return " ".join(letters)


def walk_quality(prompt: str, text: str) -> float:
    """Computes the share of letters that may follow the one before, of ``WALK`` or, if there are more, of all.

    Letters beyond ``WALK`` are never right.

    >>> round(WALK * walk_quality("reverse c a f =", "f a c"))
    3
    """
    ways, letters = _ways(prompt), text.split()
    steps = zip(["", *letters[: WALK - 1]], letters, strict=False)
    right = sum(letter in ways.get(before, ways[""]) for before, letter in steps)
    return right / max(WALK, len(letters))


def _ways(prompt: str) -> dict[str, list[str]]:
    """Returns which letters may follow a letter; the first, and one after a strange letter, may be any of the answer.

    What follows a letter comes in the order of the alphabet, so that equal seeds give equal texts.
    """
    answer = sequences.answer_to(prompt).split()
    ways: dict[str, set[str]] = {"": set(answer)}
    for place, letter in enumerate(answer):
        ways.setdefault(letter, set()).update(answer[(place + stride) % len(answer)] for stride in STRIDES)
    return {letter: sorted(following) for letter, following in ways.items()}


KINDS = {
    "sequences": Kind((LIMITS["max_prompt"], LIMITS["max_response"]), 64, write_answer, answer_quality),
    "walks": Kind((LIMITS["max_prompt"], WALK + 2), 72, write_walk, walk_quality),
}
