"""A learner on a real store: what it makes of feedback, what it takes back, what it forgets, and who takes over."""

import threading
import time

import jax
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.io.serve.learner import learning
from jaxalign.io.serve.learner.buffers import HeldOut
from jaxalign.io.serve.learner.comparing import Dials, compare
from jaxalign.io.serve.learner.learning import Learner
from jaxalign.io.serve.learner.running import LEASE, learn_on
from jaxalign.io.serve.store.rows import Feedback
from jaxalign.io.serve.worker.policies import Ground, first_policy, pack_policy
from tests.io.serve.learner.feeding import EMBEDDER, ids, interaction, rate
from tests.io.serve.worker.running import WIDTH, Switched, add_examples, configured, storing

CONFIG = configured(routing={"stray": 0.1})


@pytest.fixture
def store(tmp_path):
    with storing(tmp_path) as found:
        yield found


def preferring(policy, model, strength=6.0):
    """A policy whose router is sure of one model, whatever is asked."""
    params = jax.tree.map(np.zeros_like, policy.router.params)
    bias = np.full((8, 2), -strength, np.float32)
    bias[:, model] = strength
    params["last"]["bias"] = bias
    return policy._replace(router=policy.router._replace(params=params))


def held_out(store, good, *, count=80, prefix="ix"):
    """Ratings that are held out, of traffic that went to both models evenly, of which one is good."""
    names = ids(count, held_out=True, prefix=prefix)
    models = ["small", "large"] * (count // 2)
    rows = [interaction(store, name, model=model) for name, model in zip(names, models, strict=True)]
    rate(store, [(about, 1.0 if about.model == good else 0.0) for about in rows])


def use(store, learner, policy, note):
    name, data = pack_policy(policy, learner.memory.ground, note)
    store.save_policy(name, data, note)
    store.choose_policy(name)
    return name


def test_a_version_is_learnt_of_ratings_and_put_into_use(store):
    names = ids(64, held_out=False)
    models = ["small", "large"] * 32
    rows = [interaction(store, name, model=model) for name, model in zip(names, models, strict=True)]
    rate(store, [(about, 1.0 if about.model == "large" else 0.0) for about in rows])
    learner = Learner(CONFIG, store, EMBEDDER)
    learnt = learner.round()
    assert (learnt.told, learnt.skipped, learnt.steps, learnt.refused) == (64, 0, 2, 0)
    version, _ = store.current_policy()
    assert version == learnt.version == learner.lineage.version
    (saved,) = store.list_policies()
    assert saved.note["after"] == "initial" and saved.note["feedback"] == 64 and saved.note["chosen"]
    assert store.untold(10) == [] and not any(learner.round())
    # Thresholds: 64 ratings at the threshold of index 0, each with the others faded.
    assert float(learner.lineage.policy.thresholds.counts[0]) == pytest.approx(sum(0.99**n for n in range(64)), rel=0.4)
    # Another learner has the same feedback from the store, and goes on from the version in use.
    other = Learner(CONFIG, store, EMBEDDER)
    other.round()
    assert other.lineage.version == version
    assert int(other.buffers.router.added) == int(learner.buffers.router.added) == 64
    for one, same in zip(*(jax.tree.leaves(each.lineage.policy) for each in (learner, other)), strict=True):
        assert (np.asarray(one) == np.asarray(same)).all()


def test_held_out_ratings_are_never_trained_on(store):
    held_out(store, "large", count=10)
    learner = Learner(CONFIG, store, EMBEDDER)
    learner.round()
    assert int(learner.buffers.router.added) == 0 and len(learner.buffers.held_out) == 10
    assert store.list_policies() == [] and float(learner._policy.thresholds.counts.sum()) == 0


def test_a_version_that_is_clearly_worse_is_not_put_into_use(store):
    learner = Learner(CONFIG, store, EMBEDDER)
    learner.round()
    good = use(store, learner, preferring(learner.lineage.policy, 1), {"after": "initial"})
    held_out(store, "large")
    learner.round()
    assert learner.lineage.version == good
    rows = list(learner.buffers.held_out.values())
    assert not learner.lineage.offer(preferring(learner.lineage.policy, 0), rows, {})
    assert store.current_policy()[0] == good
    note = store.list_policies()[-1].note
    # By hand: 90 + 5 % of the requests go to the better model, whose answers are worth 1 - 0.1; the others' -0.01.
    assert note["value_before"] == pytest.approx(0.95 * 0.9 - 0.05 * 0.01, abs=0.01)
    assert note["value"] == pytest.approx(0.05 * 0.9 - 0.95 * 0.01, abs=0.01)
    assert note["held_out"] == 80 and not note["chosen"]
    # Equal ones may replace each other.
    assert learner.lineage.offer(preferring(learner.lineage.policy, 1, 5.0), rows, {})


def test_ratings_that_are_all_alike_speak_against_no_version():
    """Their weighted means are one number, and differ by rounding: in one of the two directions for every sample."""
    policy = first_policy(Ground(("small", "large"), EMBEDDER.id, WIDTH))
    small, large = preferring(policy, 0), preferring(policy, 1)
    context = np.zeros(serving.context_width(WIDTH), np.float32)
    for propensity in (0.985, 0.9):
        rows = [HeldOut(context, 0, 0.0, 0.1, propensity, 1, ())] * 30
        for one, other in ((small, large), (large, small)):
            found = compare(one, other, rows, Dials((0.1, 1.0), 0.1, 0.03))
            assert not found.worse and found.value == pytest.approx(-0.01)


def test_a_version_in_use_that_turns_out_worse_is_taken_back(store):
    learner = Learner(CONFIG, store, EMBEDDER)
    learner.round()
    good = use(store, learner, preferring(learner.lineage.policy, 1), {"after": "initial"})
    bad = use(store, learner, preferring(learner.lineage.policy, 0), {"after": good})
    assert learner.round().taken_back == ""  # nothing is known yet
    held_out(store, "large")
    learnt = learner.round()
    assert learnt.taken_back == f"{good}-{bad[:8]}" == store.current_policy()[0]
    note = store.list_policies()[-1].note
    assert (note["again"], note["taken_back"], note["after"]) == (good, bad, "initial") and note["value"] > 0.8
    learner.memory.follow()
    assert (np.asarray(learner.memory.view.policy.router.params["last"]["bias"])[:, 1] == 6).all()
    assert learner.round().taken_back == ""


def test_an_operators_choice_is_followed(store):
    learner = Learner(CONFIG, store, EMBEDDER)
    learner.round()
    chosen = use(store, learner, preferring(learner.lineage.policy, 1), {})
    learner.round()
    assert learner.lineage.version == chosen and learner._policy is learner.lineage.policy


def test_rated_uses_value_examples(store):
    (good, bad) = add_examples(store, ["good", "bad"])
    owner = store.identify("acme", "ann", "").user
    first = interaction(store, "one", user="bob", examples=(bad, good), owners=(owner, owner))
    second = interaction(store, "two", user="bob", examples=(bad,), owners=(owner,))
    rate(store, [(first, 0.75), (second, 0.0)])
    Learner(CONFIG, store, EMBEDDER).round()
    found = {each.id: each for each in store.examples([good, bad])}
    # By hand: (1 - quality) x cost of the model that answered, 0.1; an offload where it was good enough.
    assert found[good].gain == pytest.approx(0.025, rel=1e-3) and found[good].offloads == pytest.approx(1, rel=1e-3)
    assert found[bad].gain == pytest.approx(0.125, rel=1e-3) and found[bad].offloads == pytest.approx(1, rel=1e-3)


def test_examples_that_bring_least_are_deleted(store):
    kept, gone = add_examples(store, ["x" * 40, "y" * 40])  # 80 bytes each, with their responses
    owner = store.identify("acme", "ann", "").user
    rate(store, [(interaction(store, "one", examples=(kept,), owners=(owner,)), 1.0)])
    learner = Learner(configured(learning={"example_bytes": 100.0}), store, EMBEDDER)
    assert learner.round().evicted == 1 and store.examples([gone]) == []
    assert [each.id for each in store.find_examples()] == [kept]


def test_nothing_of_a_deleted_user_stays_in_buffers(store):
    (example,) = add_examples(store, ["of ann"])
    ann, bob = (store.identify("acme", name, "").user for name in ("ann", "bob"))
    training, held = ids(4, held_out=False), ids(2, held_out=True)
    rows = [
        interaction(store, training[0]),
        interaction(store, training[1], user="bob", owners=(ann,), examples=(example,)),
        interaction(store, training[2], user="bob"),
        interaction(store, held[0]),
        interaction(store, held[1], user="bob"),
    ]
    rate(store, [(about, 0.5) for about in rows])
    probes = [Feedback(rows[place].id, rows[place].tenant, "probe", 1.0, str(example), 0.0) for place in (0, 2)]
    store.add_feedback(probes)
    learner = Learner(CONFIG, store, EMBEDDER)
    learner.round()
    buffers = learner.buffers
    assert int((buffers.router.priorities > 0).sum()) == 3 and int(buffers.pairs.pairs.where.sum()) == 2
    store.delete_user("acme", "ann")
    learner.round()
    left = np.asarray(buffers.router.priorities) > 0
    assert np.asarray(buffers.router.feedback.users)[left].tolist() == [bob]
    assert not np.asarray(buffers.router.feedback.contexts)[~left].any()
    assert int(buffers.pairs.pairs.where.sum()) == 0 and not np.asarray(buffers.pairs.pairs.queries).any()
    assert buffers.held_out.keys() == {held[1]} and len(learner.memory) == 0
    # Nor in those that another learner makes of the store.
    other = Learner(CONFIG, store, EMBEDDER)
    other.round()
    assert np.asarray(other.buffers.router.feedback.users).max() == bob and other.buffers.held_out.keys() == {held[1]}


def test_feedback_of_another_embedder_or_model_is_counted_and_not_learnt(store):
    names = ids(2, held_out=False)
    other = interaction(store, names[0], embedder="another")
    gone = interaction(store, names[1])._replace(model="gone")
    rate(store, [(other, 1.0), (gone, 1.0)])
    learner = Learner(CONFIG, store, EMBEDDER)
    learnt = learner.round()
    assert (learnt.told, learnt.skipped, learnt.steps) == (2, 2, 0) and int(learner.buffers.router.added) == 0
    assert store.untold(10) == []


def test_few_ratings_wait_for_more_or_for_time(store, monkeypatch):
    rate(store, [(interaction(store, name), 1.0) for name in ids(3, held_out=False)])
    learner = Learner(CONFIG, store, EMBEDDER)
    assert learner.round().version == "" and store.list_policies() == []
    monkeypatch.setattr(learning, "SECONDS_A_VERSION", 0.0)
    assert learner.round().version == store.current_policy()[0]


class Stopping(threading.Event):
    """Ends a loop after so many waits, which take no time."""

    def __init__(self, rounds, at_wait=lambda: None):
        super().__init__()
        self.rounds, self.at_wait = rounds, at_wait

    def wait(self, timeout=None):
        self.rounds -= 1
        self.at_wait()
        if self.rounds <= 0:
            self.set()
        return self.is_set()


def test_one_learner_at_a_time_and_the_next_takes_over(store):
    rate(store, [(interaction(store, name), 1.0) for name in ids(40, held_out=False)])
    assert store.lease(LEASE, "a learner that was killed", 0.3)
    told = []
    learn_on(CONFIG, store, EMBEDDER, Stopping(2), told.append)
    assert store.current_policy() is None and told == []  # it may still live
    deadline = time.monotonic() + 10
    while store.current_policy() is None:  # its lease ends by itself
        assert time.monotonic() < deadline
        learn_on(CONFIG, store, EMBEDDER, Stopping(1), told.append)
    assert "told: 40" in told[0]
    assert store.lease(LEASE, "the next", 1.0)  # it was given back


def test_a_store_that_goes_is_waited_for(store):
    rate(store, [(interaction(store, name), 1.0) for name in ids(40, held_out=False)])
    switched, told = Switched(store), []
    switched.gone = True

    def come_back():
        switched.gone = ended.rounds > 2

    ended = Stopping(5, come_back)
    learn_on(CONFIG, switched, EMBEDDER, ended, told.append)
    assert told[0] == "taken away" and "told: 40" in told[1] and len(told) == 2
