"""Plans of replays, what is kept of them, and when they stop."""

import jax
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import ReplayPlan, Replays, replay
from tests.serving.tables import new_examples, on_host


@pytest.fixture(scope="module")
def table():
    """Gains 1, 3, 2, 0 at hour 0, and 4 free rows."""
    table, _ = serving.insert_examples(serving.init_table(4, capacity=8), new_examples(4))
    return table._replace(gain=jax.numpy.array([1.0, 3, 2, 0, 0, 0, 0, 0]))


def replays(ids, qualities, seed=0):
    qualities = np.asarray(qualities, np.float32)
    vectors = np.random.default_rng(seed).normal(size=(*qualities.shape, 4)).astype(np.float32)
    sizes = np.arange(qualities.size, dtype=np.float32).reshape(qualities.shape)
    return Replays(np.asarray(ids, np.int32), qualities, sizes, sizes.astype(np.int32), vectors)


def test_the_highest_gains_come_first(table):
    plan = serving.plan_replays(table, 0.0, budget=2)
    assert plan.ids.tolist() == [1, 2] and plan.where.all()
    plan = serving.plan_replays(table, 0.0, budget=8)
    assert plan.ids.tolist() == [1, 2, 0, -1, -1, -1, -1, -1] and plan.where.tolist() == [True] * 3 + [False] * 5


def test_gains_are_those_of_the_time(table):
    """At hour 10 example 1 has .35 * 3 = 1.05 left, and example 0, whose 1 is from that hour, 1: then .9 and .95."""
    late = table._replace(
        updated=10.0 * (np.arange(8) == 0).astype(np.float32), gain=np.array([1.1, 3] + [0] * 6, np.float32)
    )
    assert serving.plan_replays(late, 10.0, budget=1).ids.tolist() == [0]  # 1.1 before 1.05
    assert serving.plan_replays(table, 10.0, budget=1).ids.tolist() == [1]


def test_no_example_is_replayed_more_than_five_times(table):
    often = table._replace(replays=np.array([0, 5, 4, 0, 0, 0, 0, 0], np.int32))
    assert serving.plan_replays(often, 0.0, budget=3).ids.tolist() == [2, 0, -1]
    for key in jax.random.split(jax.random.key(0), 5):
        assert sorted(serving.plan_random_replays(key, often, budget=8).ids.tolist()) == [-1] * 5 + [0, 2, 3]


def test_random_replays_have_equal_chances(table):
    """Of 4 examples one is drawn 400 times: 100 each, with a standard deviation of 8.7."""
    draw = jax.vmap(lambda key: serving.plan_random_replays(key, table, budget=1).ids[0])
    counts = np.bincount(draw(jax.random.split(jax.random.key(1), 400)), minlength=4)
    assert counts.shape == (4,) and abs(counts - 100).max() < 35


def test_the_best_response_is_kept_and_quality_only_grows(table):
    """Example 0 has quality .5; of 3 responses the second is better; example 1 gets none that is."""
    new = replays([0, 1, -1], [[0.4, 0.9, 0.7], [0.5, 0.1, 0.2], [1, 1, 1]])
    after, kept = on_host(serving.record_replays(table, new))
    assert kept.tolist() == [1, -1, -1]
    np.testing.assert_allclose(after.quality[:4], [0.9, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(after.responses[0], new.responses[0, 1] / np.linalg.norm(new.responses[0, 1]), rtol=1e-6)
    assert after.size[0] == new.sizes[0, 1] and after.tokens[0] == new.tokens[0, 1]
    assert np.array_equal(after.responses[1:], table.responses[1:]) and np.array_equal(after.requests, table.requests)
    assert after.replays.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert after.gain.tolist() == [0, 0, 2, 0, 0, 0, 0, 0]


def test_replays_of_one_example_follow_each_other(table, allow_nans):
    new = replays([2, 2, 2], [[0.8, np.nan], [0.7, np.nan], [0.6, 0.9]])
    after, kept = on_host(serving.record_replays(table, new))
    assert kept.tolist() == [0, -1, 1] and after.replays[2] == 3 and after.quality[2] == np.float32(0.9)


def test_what_is_gone_or_unjudged_changes_nothing(table, allow_nans):
    after, kept = on_host(serving.record_replays(table, replays([6, 99, 0], [[1.0], [1.0], [np.nan]])))
    assert kept.tolist() == [-1, -1, -1] and after.replays.tolist() == [1] + [0] * 7
    assert np.array_equal(after.quality, table.quality) and np.array_equal(after.live, table.live)


def test_ranking_by_gain_beats_chance_at_equal_budget():
    """A replay brings quality 1. What it then brings is cost times lack, the expectation that gains measure."""
    rng = np.random.default_rng(3)
    quality, cost = rng.uniform(size=(2, 64)).astype(np.float32)
    table, ids = serving.insert_examples(
        serving.init_table(4, capacity=64), new_examples(64, quality=quality, cost=cost)
    )
    table = serving.record_uses(table, ids, quality, cost, np.zeros(64, bool), 0.0)

    def lack(plan: ReplayPlan):
        best = replays(plan.ids, np.ones((16, 4)))
        after, _ = serving.record_replays(table, best)
        return float(((1 - after.quality) * after.cost).sum())

    chance = [lack(serving.plan_random_replays(jax.random.key(seed), table, budget=16)) for seed in range(5)]
    assert lack(serving.plan_replays(table, 0.0, budget=16)) < 0.75 * min(chance)


def test_replay_stops_and_is_tried_again():
    """One replay leaves .9 of the mean of 1: after n without offloads .9^n, which is under .05 from n = 29 on."""
    rule = serving.init_replay_rule(0.0)
    assert serving.replay_pays(rule, 0.0)
    assert serving.replay_pays(serving.observe_replays(rule, 0.0, 28, 0.0), 0.0)
    stopped = serving.observe_replays(rule, 0.0, 29, 0.0)
    assert not serving.replay_pays(stopped, 0.0)
    # 1 - (1 - .9^29) * .99^h reaches .05 at h = ln(.95 / .9529) / ln(.99) = 0.3, from a mean of 0 at 5.1 hours.
    assert serving.replay_pays(stopped, 0.5) and not serving.replay_pays(stopped, 0.2)
    empty = stopped._replace(mean=0 * stopped.mean)
    assert serving.replay_pays(empty, 5.2) and not serving.replay_pays(empty, 5.0)


def test_replay_goes_on_while_it_brings_offloads():
    rule = serving.init_replay_rule(0.0)
    for hour in range(20):
        rule = serving.observe_replays(rule, 1.0, 8, float(hour))  # .125 a replay
    assert serving.replay_pays(rule, 20.0) and abs(float(rule.mean) - 0.125) < 0.02
    unchanged = serving.observe_replays(rule, 0.0, 0, 19.0)
    assert float(unchanged.mean) == pytest.approx(float(rule.mean))


def test_one_program_for_each_shape(table):
    programs = serving.plan_replays, replay._record_replays, serving.observe_replays
    counts = []
    for step in range(3):
        plan = serving.plan_replays(table, float(step), budget=2)
        table, _ = serving.record_replays(table, replays(plan.ids, np.full((2, 3), 0.6 + step / 10)))
        serving.observe_replays(serving.init_replay_rule(float(step)), 1.0, step, float(step))
        counts.append([program._cache_size() for program in programs])
    assert counts[0] == counts[1] == counts[2]
