import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign.judge import Critic, first, knockout, make_random, pointwise, round_robin


class Asked:
    """A critic of numbers that remembers what it was asked."""

    def __init__(self, prefer):
        self.calls = []
        self.prefer_one = prefer

    def prefer(self, matches):
        self.calls.append(list(matches))
        return [self.prefer_one(a, b) for a, b in matches]

    def rate(self, candidates):
        self.calls.append(list(candidates))
        return [-abs(candidate - 3) for candidate in candidates]

    @property
    def critic(self):
        return Critic(self.prefer, self.rate)


def higher(a, b):
    return 1 / (1 + math.exp(b - a))


groups_of_distinct = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=9, unique=True), max_size=4)


@given(groups_of_distinct, st.randoms())
def test_knockout_is_round_robin_where_the_critic_is_transitive(groups, rng):
    """This holds for any strengths of preference, not only those of a model of skills."""
    strengths = {}

    def prefer(a, b):
        strength = strengths.setdefault((min(a, b), max(a, b)), rng.uniform(0.51, 1))
        return strength if a > b else 1 - strength

    expected = [max(range(len(group)), key=group.__getitem__) for group in groups]
    assert knockout(groups, Asked(prefer).critic) == expected
    assert round_robin(groups, Asked(prefer).critic) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_how_many_matches(size):
    groups = [list(range(size)), list(range(3))]
    asked = Asked(higher)
    assert knockout(groups, asked.critic) == [size - 1, 2]
    assert sum(map(len, asked.calls)) == (size - 1) + 2
    assert len(asked.calls) <= max(math.ceil(math.log2(size)), 2)  # one call a round, all groups together
    asked = Asked(higher)
    assert round_robin(groups, asked.critic) == [size - 1, 2]
    assert [len(call) for call in asked.calls] == [size * (size - 1) // 2 + 3]


def test_a_cycle_goes_to_the_highest_chances():
    # 0 beats 1 beats 2 beats 0, each once: chances summed are 0.9 + 0.4, 0.1 + 0.8 and 0.2 + 0.6.
    chances = {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.4}
    assert round_robin([[0, 1, 2]], Asked(lambda a, b: chances[a, b]).critic) == [0]


def test_a_tie_goes_to_the_candidate_that_comes_first():
    assert knockout([[4, 4, 4]], Asked(lambda a, b: 0.5).critic) == [0]
    assert round_robin([[4, 4, 4]], Asked(lambda a, b: 0.5).critic) == [0]


def test_pointwise_asks_once_for_each_candidate():
    asked = Asked(higher)
    assert pointwise([[1, 3, 5], [9, 4]], asked.critic) == [1, 1]
    assert asked.calls == [[1, 3, 5, 9, 4]]


def test_those_that_do_not_ask():
    asked = Asked(higher)
    assert first([[1, 2], [3]], asked.critic) == [0, 0]
    groups = [[str(n), "x", "y"] for n in range(300)]
    drawn = make_random(1)(groups, asked.critic)
    assert asked.calls == []
    assert drawn == make_random(1)(groups, asked.critic) != make_random(2)(groups, asked.critic)
    assert drawn[7] == make_random(1)(groups[7:8], asked.critic)[0]  # neighbours change nothing
    assert all(70 < drawn.count(place) < 130 for place in range(3))


@pytest.mark.parametrize("unread", [None, math.nan])
def test_what_is_unread_is_no_win(unread):
    """Candidates are numbers; whoever meets 9 is not known to win or to lose."""

    def prefer(matches):
        return [unread if 9 in match else float(match[0] > match[1]) for match in matches]

    def rate(candidates):
        return [unread if each == 9 else each for each in candidates]

    critic = Critic(prefer, rate)
    groups = [[1, 9, 2], [9, 1], [1, 2], [9]]
    assert knockout(groups, critic) == [2, 0, 1, 0]  # 1 stays after its match with 9, and then 2 wins
    assert round_robin(groups, critic) == [2, 0, 1, 0]
    assert pointwise(groups, critic) == [2, 1, 1, 0]
