"""Choosing the best of several candidates by comparing them.

Shared arguments of selectors:
  groups: candidates of each choice, at least one each; anything, for instance contrasts.
  critic: asked about all groups at once, so that a model can batch.

They return the place of the chosen candidate in each group. Whatever ties is won by the candidate that comes first. A
comparison that could not be read counts for neither side.
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.prompting import is_read

Candidate = Any


class Critic(NamedTuple):
    """Two ways to ask about candidates."""

    prefer: Callable[[Sequence[tuple[Candidate, Candidate]]], list[float | None]]
    """``prefer(matches)``: the probability that the first of each match is the better one; None if it is unread."""
    rate: Callable[[Sequence[Candidate]], list[float | None]]
    """``rate(candidates)``: how good each one is by itself; None if it is unread."""


Selector = Callable[[Sequence[Sequence[Candidate]], Critic], list[int]]


def first(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """The first candidate of each group, without asking: what one sample would have given."""
    return [0 for _ in groups]


def make_random(seed: int = 0) -> Selector:
    """A selector that draws by lot, without asking; the lot depends on the seed and on the candidates only."""

    def draw(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
        return [random.Random(f"{seed} {group!r}").randrange(len(group)) for group in groups]

    return draw


def pointwise(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """The candidate with the highest rating, one question for each; those without one are the last choice."""
    ratings = iter(
        rating if is_read(rating) else -math.inf
        for rating in critic.rate([candidate for group in groups for candidate in group])
    )
    return [_best(list(itertools.islice(ratings, len(group)))) for group in groups]


def knockout(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """The winner of a tournament of ``len(group) - 1`` matches: neighbours meet, winners stay, the odd one waits."""
    left = [list(range(len(group))) for group in groups]
    while any(len(places) > 1 for places in left):
        matches = [
            (group, *pair) for group, places in enumerate(left) for pair in zip(places[::2], places[1::2], strict=False)
        ]
        chances = critic.prefer([(groups[group][a], groups[group][b]) for group, a, b in matches])
        winners: list[list[int]] = [[] for _ in groups]
        for (group, a, b), chance in zip(matches, chances, strict=True):
            winners[group].append(b if is_read(chance) and chance < 0.5 else a)
        # The odd one has no neighbour and goes last, so that it meets somebody in the next round.
        left = [won + places[2 * len(won) :] for won, places in zip(winners, left, strict=True)]
    return [places[0] for places in left]


def round_robin(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """The candidate that wins most matches against all others, and of several such the one with the highest chances.

    If the critic is transitive, it is the winner of every knockout too.
    """
    matches = [
        (group, a, b)
        for group, candidates in enumerate(groups)
        for a, b in itertools.combinations(range(len(candidates)), 2)
    ]
    chances = critic.prefer([(groups[group][a], groups[group][b]) for group, a, b in matches])
    wins = [[(0.0, 0.0)] * len(group) for group in groups]
    for (group, a, b), chance in zip(matches, chances, strict=True):
        if not is_read(chance):
            continue
        won = 0.5 * ((chance > 0.5) + (chance >= 0.5))
        for place, points in ((a, (won, chance)), (b, (1 - won, 1 - chance))):
            wins[group][place] = tuple(x + y for x, y in zip(wins[group][place], points, strict=True))
    return [_best(points) for points in wins]


def _best(values: list) -> int:
    return max(range(len(values)), key=values.__getitem__)
