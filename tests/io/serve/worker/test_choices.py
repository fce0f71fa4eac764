"""Decisions: in a batch as alone, within what is allowed, and drawn as they say."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from jaxalign.io.serve.config import Model
from jaxalign.io.serve.worker.choices import Choices, Wanted
from jaxalign.io.serve.worker.embedders import HashEmbedder
from jaxalign.io.serve.worker.memory import Memory
from tests.io.serve.worker.running import MODELS, ROWS, WIDTH, add_examples, configured, storing


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


def test_requests_go_only_where_they_may_and_propensities_say_how_often(store):
    """With a stray share of 1 each of two allowed models of three is drawn half of the time."""
    config = dataclasses.replace(configured(routing={"stray": 1.0}), models=(*MODELS, Model("third", "here")))
    _, choices = make(store, config)
    asked = [wanted(None, number, "a question", allowed=(0, 2)) for number in range(200)]
    decided = [each for first in range(0, 200, 4) for each in choices.decide(asked[first : first + 4])]
    assert all(each.propensity == pytest.approx(0.5) for each in decided)
    share = np.mean([each.model == 2 for each in decided])
    assert {each.model for each in decided} == {0, 2} and abs(share - 0.5) < 4 * 0.5 / math.sqrt(200)
    (only,) = choices.decide([wanted(None, 0, "a question", allowed=(1,))])
    assert (only.model, only.propensity, only.doubtful, only.opponent) == (1, 1.0, False, -1)


def test_a_full_load_sends_requests_to_the_cheap_model(store):
    """A router that thinks the large model better by 0.3, where it costs 0.1 at rest and 0.1 + tanh(5 - 0.8) loaded."""
    config = configured(routing={"half_life_seconds": 1e-6})  # the average is the latest load
    memory, choices = make(store, config)
    router = memory.view.policy.router
    params = jax.tree.map(np.zeros_like, router.params)
    params["last"]["bias"] = np.tile(np.array([0.0, math.log(0.8 / 0.2)], np.float32), (8, 1))  # 0.5 and 0.8
    policy = memory.view.policy._replace(router=router._replace(params=params))
    memory.view = memory.view._replace(policy=policy)
    (calm,) = choices.decide([wanted(None, 0, "a question")])
    (loaded,) = choices.decide([wanted(None, 1, "a question", load=5.0)])
    assert (calm.model, loaded.model) == (1, 0)


def test_probes_and_opponents_only_with_a_judge(store):
    add_examples(store, [f"question {number}" for number in range(8)])
    identity = store.identify("acme", "ann", "")
    everything = {"asked": 1.0, "probed": 1.0}
    for judge in ("", "large"):
        _, choices = make(store, configured(learning=everything | {"judge": judge}))
        (found,) = choices.decide([wanted(identity, 1, "question 3")])
        assert found.doubtful  # an untaught router finds models alike
        assert (found.opponent, len(found.probes)) == ((1 - found.model, 4) if judge else (-1, 0))
