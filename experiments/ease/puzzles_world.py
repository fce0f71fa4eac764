"""A world of questions with a known truth: who has the most of something, and explanations that are valid or not.

An explanation claims that somebody has a number of things, more than anybody else. It is valid if that is so.
"""

import re
from typing import NamedTuple

from experiments.common.llm.chance import rng_of
from jaxalign.data import Question

NAMES = ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal")
THINGS = ("pens", "nuts", "keys", "cups", "rugs", "figs")
_HAS = re.compile(r"(\w+) has (\d+)")
_CLAIM = re.compile(r"(\S+) has (\d+), which is more than anybody else\.")


class Claim(NamedTuple):
    """What an explanation says; the name is no name where it is masked."""

    name: str
    number: int


def make_questions(seed: int, count: int) -> list[Question]:
    """Makes distinct questions with their answers and a valid explanation each."""
    rng = rng_of("puzzles", seed)
    questions: dict[str, Question] = {}
    while len(questions) < count:
        names = rng.sample(NAMES, rng.choice((3, 4)))
        numbers = rng.sample(range(2, 100), len(names))
        things = rng.choice(THINGS)
        facts = ". ".join(f"{name} has {number} {things}" for name, number in zip(names, numbers, strict=True))
        text = f"{facts}. Who has the most {things}?"
        best = max(range(len(names)), key=numbers.__getitem__)
        claim = explain(Claim(names[best], numbers[best]))
        questions[text] = Question(text, tuple(names), best, (claim,), source="made", id=f"{seed}-{len(questions)}")
    return list(questions.values())


def read_facts(text: str) -> dict[str, int]:
    """Reads how many things each name has in a question.

    >>> read_facts("Ann has 3 pens. Bob has 7 pens. Who has the most pens?")
    {'Ann': 3, 'Bob': 7}
    """
    return {name: int(number) for name, number in _HAS.findall(text)}


def explain(claim: Claim) -> str:
    """Writes a claim as text; :func:`read_claim` reads it."""
    return f"{claim.name} has {claim.number}, which is more than anybody else."


def read_claim(explanation: str) -> Claim | None:
    """Reads the claim of an explanation; None if it makes none."""
    found = _CLAIM.search(explanation)
    return Claim(found[1], int(found[2])) if found else None


def is_valid(claim: Claim, facts: dict[str, int]) -> bool:
    """Says whether a claim follows from the facts; if its name is masked, whether its number does.

    >>> facts = {"Ann": 3, "Bob": 7}
    >>> is_valid(Claim("Bob", 7), facts), is_valid(Claim("Ann", 9), facts), is_valid(Claim("...", 7), facts)
    (True, False, True)
    """
    most = max(facts.values())
    return claim.number == most and facts.get(claim.name, most) == most
