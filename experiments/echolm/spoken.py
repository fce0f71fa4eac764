"""The made world in words: what requests, answers and judgements say, so that they can go through a real server.

A request is a number of the earlier requests (H) or of the traffic (T). An answer repeats it and says whether it is
good and how likely that was; nobody reads this but the simulated models, the embedder and the users of this world.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.echolm import world
from experiments.echolm.simulate import JUDGE_SCALE, TRUTH, Ground
from experiments.echolm.world import MODELS, SMALL, Traffic
from jaxalign.io.serve.simulated.models import SimulatedModel

JUDGE, EMBEDDER = "judge", "embedder"
_REQUEST = re.compile(r"request ([HT])(\d+)")
_ANSWER = re.compile(r"(small|large) to ([HT])(\d+), ([0-9.]+): (good|bad)")


class Said(NamedTuple):
    """What an answer says of itself."""

    model: str
    earlier: bool  # the request is of the earlier ones
    number: int
    chance: float  # that it would be good
    good: bool


def request_text(number: int, *, earlier: bool = False) -> str:
    """Returns a request in words.

    Args:
      number: which one.
      earlier: whether it is of the requests before the traffic.

    >>> request_text(12)
    'Please answer request T12.'
    """
    return f"Please answer request {'H' if earlier else 'T'}{number}."


def read_answer(text: str) -> Said | None:
    """Returns what an answer says of itself; None where there is none.

    Args:
      text: with one answer in it, or several, of which the last counts.

    >>> read_answer("This is the answer of small to T12, 0.75: good.").chance
    0.75
    """
    found = _ANSWER.findall(text)
    return _said(found[-1]) if found else None


class Speakers:
    """The simulated models of a world.

    Args:
      ground: the world, the earlier requests and the traffic.
      seed: of a judge's errors.
    """

    def __init__(self, ground: Ground, seed: int):
        self._ground, self._rng = ground, np.random.default_rng([seed, 5])

    def models(self) -> list[SimulatedModel]:
        """Returns both models, the judge and the embedder, which all answer at once."""
        width = self._ground.world.questions.shape[1]
        return [
            *(SimulatedModel(name, answer=self._answering(place)) for place, name in enumerate(MODELS)),
            SimulatedModel(JUDGE, answer=self._judge),
            SimulatedModel(EMBEDDER, width=width, embed=self._embed),
        ]

    def _answering(self, model: int):
        def answer(messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> str:
            text = messages[-1]["content"]
            kind, number = _REQUEST.findall(text)[-1]
            traffic, row = self._traffic(kind == "H"), int(number)
            helps = harms = 0
            if model == SMALL:
                helps, harms = self._effects(text, traffic.questions[row])
            counts = (np.array([each]) for each in (traffic.questions[row], helps, harms))
            chance = float(world.qualities(self._ground.world, *counts)[0, model])
            word = "good" if traffic.luck[row, model] < chance else "bad"
            return f"This is the answer of {MODELS[model]} to {kind}{number}, {chance:.4f}: {word}."

        return answer

    def _effects(self, text: str, question: int) -> tuple[int, int]:
        """How many of the examples in a prompt help, and how many do not."""
        topics, helps, shown = self._ground.world.topics, 0, _ANSWER.findall(text)
        for _, kind, number, _, word in shown:
            there = self._traffic(kind == "H").questions[int(number)]
            helps += topics[there] == topics[question] and word == "good"
        return helps, len(shown) - helps

    def _judge(self, messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> str:
        """Says which of two answers is better: as often wrong as in the simulation without a server."""
        first, second = map(_said, _ANSWER.findall(messages[-1]["content"])[:2])
        if first.model == second.model:  # with and without an example
            chance = 1 / (1 + np.exp(-JUDGE_SCALE * (_odds(first.chance) - _odds(second.chance))))
        elif first.good == second.good:
            chance = 0.5
        else:
            chance = TRUTH if first.good else 1 - TRUTH
        return f"Answer: {'A' if self._rng.random() < chance else 'B'}"

    def _embed(self, text: str, width: int) -> np.ndarray:
        made = self._ground.world
        if (said := read_answer(text)) is not None:
            traffic = self._traffic(said.earlier)
            question, noise = traffic.questions[said.number], traffic.answers[said.number]
            return world.answer_embeddings(made, question, np.array(said.good), noise[None])[0]
        kind, number = _REQUEST.findall(text)[-1]
        return self._traffic(kind == "H").embeddings[int(number)]

    def _traffic(self, earlier: bool) -> Traffic:
        return self._ground.history if earlier else self._ground.traffic


def told(said: Said, rng: np.random.Generator) -> float:
    """Returns a user's rating of an answer, 0 or 1: now and then the opposite of what is true.

    Args:
      said: what the answer says of itself.
      rng: draws.
    """
    return float(said.good == (rng.random() < TRUTH))


def _said(found: tuple[str, ...]) -> Said:
    model, kind, number, chance, word = found
    return Said(model, kind == "H", int(number), float(chance), word == "good")


def _odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))
