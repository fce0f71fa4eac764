"""Decisions: in a batch as alone, within what is allowed, and drawn as they say."""

import math

import jax
import numpy as np
import pytest

from jaxalign.io.serve.worker.choices import Choices, Wanted
from jaxalign.io.serve.worker.embedders import HashEmbedder
from jaxalign.io.serve.worker.memory import Memory
from tests.io.serve.worker.running import CONFIG, ROWS, WIDTH, add_examples, configured, storing

EXPLORING = configured(
    routing={"explored": 0.5, "stray": 0.3}, learning={"judge": "large", "asked": 0.5, "probed": 0.5}
)


@pytest.fixture
def store(tmp_path):
    with storing(tmp_path) as found:
        yield found


def make(store, config):
    embedder = HashEmbedder(WIDTH)
    memory = Memory(store, embedder, [model.name for model in config.models])
    memory.follow()
    return memory, Choices(config, embedder, memory.index, lambda: memory.view, rows=ROWS)


def wanted(identity, number, text, **changes):
    found = Wanted(f"ix-{number}", text, identity, True, True, (0, 1), 0.0, math.inf)
    return found._replace(**changes)


def test_requests_are_decided_in_a_batch_as_alone(store):
    """Requests of several tenants, some of whom see the shared pool, with exploration."""
    for tenant in ("red", "blue"):
        add_examples(store, [f"{tenant} question {number}" for number in range(12)], tenant=tenant)
    add_examples(store, [f"common question {number}" for number in range(12)], tenant="red", shared=True)
    config = configured(
        routing={"explored": 0.5, "stray": 0.3}, learning={"judge": "large", "asked": 0.5, "probed": 0.5}
    )
    _, choices = make(store, config)
    who = {tenant: store.identify(tenant, "ann", "") for tenant in ("red", "blue", "empty")}
    asked = [
        wanted(identity, f"{number} {tenant}", f"common or {tenant} question {number}", shared=number % 2 == 0)
        for number in range(4)
        for tenant, identity in [*who.items(), ("nobody", None)]
    ]
    together = [each for first in range(0, 16, 4) for each in choices.decide(asked[first : first + 4])]
    alone = [each for one in asked for each in choices.decide([one])]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.context, other.context, atol=1e-5)
        assert one._replace(context=0, query=0) == other._replace(context=0, query=0)
    assert {len(each.examples) > 0 for each in together} == {True, False} and {each.model for each in together} == {
        0,
        1,
    }
    assert any(each.probes for each in together) and len({each.threshold for each in together}) > 2


def test_requests_go_only_where_they_may(store):
    _, choices = make(store, EXPLORING)
    asked = [wanted(None, number, "a question", allowed=(number % 2,)) for number in range(40)]
    decided = [each for first in range(0, 40, 4) for each in choices.decide(asked[first : first + 4])]
    assert [each.model for each in decided] == [0, 1] * 20
    assert all((each.propensity, each.doubtful, each.opponent) == (1.0, False, -1) for each in decided)


def test_a_full_load_sends_requests_to_the_cheap_model(store):
    """A router that thinks the large model better by 0.3, where it costs 0.1 at rest and 0.1 + tanh(5 - 0.8) loaded."""
    memory, choices = make(store, EXPLORING)
    router = memory.view.policy.router
    params = jax.tree.map(np.zeros_like, router.params)
    params["last"]["bias"] = np.tile(np.array([0.0, math.log(0.8 / 0.2)], np.float32), (8, 1))  # 0.5 and 0.8
    policy = memory.view.policy._replace(router=router._replace(params=params))
    memory.view = memory.view._replace(policy=policy)

    def chance_of_large(load):
        choices._observed -= 1e6  # so long ago that the average is the latest load
        (found,) = choices.decide([wanted(None, 0, "a question", load=load)])
        return found.propensity if found.model == 1 else 1 - found.propensity

    # All but the 30 % that stray, of which each model has half, go to the one or to the other.
    assert [chance_of_large(load) for load in (0.0, 5.0, 0.0)] == pytest.approx([0.85, 0.15, 0.85])


def test_probes_and_opponents_only_with_a_judge(store):
    add_examples(store, [f"question {number}" for number in range(8)])
    identity = store.identify("acme", "ann", "")
    asked = [wanted(identity, number, "question 3") for number in range(40)]
    for config in (CONFIG, EXPLORING):
        _, choices = make(store, config)
        found = [each for one in asked for each in choices.decide([one])]
        assert all(each.doubtful for each in found)  # an untaught router finds models alike
        compared, probed = ([bool(value) for value in values] for values in zip(*_extras(found), strict=True))
        if config is CONFIG:
            assert not any(compared) and not any(probed)
        else:  # half of them each: 20, and 3.2 is the standard deviation
            assert 8 < sum(compared) < 32 and 8 < sum(probed) < 32
            assert {len(each.probes) for each in found} == {0, 4}
            assert all(each.opponent in (-1, 1 - each.model) for each in found)


def _extras(found):
    return [(each.opponent >= 0, each.probes) for each in found]
