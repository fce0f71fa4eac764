"""Two kinds of texts whose quality is known: short answers, and long open texts that may go on in several ways.

Both answer the prompts of :mod:`experiments.common.sequences`. A short answer has one right letter in each place. A
walk is long and open: :data:`WALK` letters of the right answer in any order in which none comes back too soon, so that
very many texts are right.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.common import sequences
from experiments.common.sequence_task import LIMITS
from jaxalign.data import PreferenceRecord

WALK = 24  # letters of a walk
MEMORY = 2  # letters before that a letter must not repeat, or fewer where the answer has no others


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
    answer, letters = _letters(prompt), []
    for _ in range(WALK):
        careless = rng.random() < errors
        letters.append(str(rng.choice(list(sequences.LETTERS) if careless else _ways(answer, letters))))
    return " ".join(letters)


def walk_quality(prompt: str, text: str) -> float:
    """Computes the share of letters of the answer that do not come back too soon, of ``WALK`` or, if more, of all.

    Letters beyond ``WALK`` are never right.

    >>> round(WALK * walk_quality("reverse c a f =", "f a c f f b"))
    4
    """
    answer, letters = _letters(prompt), text.split()
    right = sum(letter in _ways(answer, letters[:place]) for place, letter in enumerate(letters[:WALK]))
    return right / max(WALK, len(letters))


def _letters(prompt: str) -> list[str]:
    """Returns the letters of the answer, each once, in the order of the alphabet."""
    return sorted(set(sequences.answer_to(prompt).split()))


def _ways(answer: list[str], before: list[str]) -> list[str]:
    """Returns which letters may come next."""
    recent = before[-min(MEMORY, len(answer) - 1) :] if len(answer) > 1 else []
    return [letter for letter in answer if letter not in recent]


KINDS = {
    "sequences": Kind((LIMITS["max_prompt"], LIMITS["max_response"]), 64, write_answer, answer_quality),
    "walks": Kind((LIMITS["max_prompt"], WALK + 2), 72, write_walk, walk_quality),
}
