"""Choosing the best of several candidates by comparing them.

Whatever ties is won by the candidate that comes first. A comparison that could not be read counts for neither side.
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.prompting import is_read

Candidate = Any


class Critic(NamedTuple):
    """Two ways to ask about candidates, which may be anything, for instance contrasts.

    Attributes:
      prefer: ``prefer(matches)`` returns, for each pair of candidates, the probability that its first is the better
        one; None if it could not be read.
      rate: ``rate(candidates)`` returns how good each candidate is by itself; None if it could not be read.
    """

    prefer: Callable[[Sequence[tuple[Candidate, Candidate]]], list[float | None]]
    rate: Callable[[Sequence[Candidate]], list[float | None]]


Selector = Callable[[Sequence[Sequence[Candidate]], Critic], list[int]]


def first(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """Selects the first candidate of each group without asking: what one sample would have given.

    Args:
      groups: the candidates of each choice, at least one each.
      critic: is not asked.

    Returns:
      0 for each group.
    """
    return [0 for _ in groups]


def make_random(seed: int = 0) -> Selector:
    """Makes a selector that draws at random, without asking; the draw depends on the seed and on the candidates only.

    Args:
      seed: of the draws.
    """

    def draw(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
        return [random.Random(f"{seed} {group!r}").randrange(len(group)) for group in groups]

    return draw


def pointwise(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """Selects the candidate with the highest rating, by one question for each; one without a rating is the last choice.

    Args:
      groups: the candidates of each choice, at least one each.
      critic: rates candidates; it is asked about all groups at once, so that a model can batch.

    Returns:
      The place of the selected candidate in each group; of equals, the first one.
    """
    ratings = iter(
        rating if is_read(rating) else -math.inf
        for rating in critic.rate([candidate for group in groups for candidate in group])
    )
    return [_best(list(itertools.islice(ratings, len(group)))) for group in groups]


def knockout(groups: Sequence[Sequence[Candidate]], critic: Critic) -> list[int]:
    """Selects the winner of a tournament of ``len(group) - 1`` matches between neighbours, in which the odd one waits.

    Args:
      groups: the candidates of each choice, at least one each.
      critic: compares candidates; it is asked about a round of all groups at once, so that a model can batch.

    Returns:
      The place of the selected candidate in each group. A tied or unread match is won by the candidate that comes
      first.
    """
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
    """Selects the candidate that wins most matches against all others.

    Of several such it is the one with the highest chances. If the critic is transitive, it is the winner of every
    knockout too.

    Args:
      groups: the candidates of each choice, at least one each.
      critic: compares candidates; it is asked about all groups at once, so that a model can batch.

    Returns:
      The place of the selected candidate in each group; of equals, the first one. An unread match counts for nobody.
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
