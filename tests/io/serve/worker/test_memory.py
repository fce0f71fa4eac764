"""A memory that follows the feed is the same as one that reads everything, and holds nothing of what was deleted."""

import jax
import numpy as np
import pytest

from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import ExampleUpdate
from jaxalign.io.serve.worker.embedders import HashEmbedder
from jaxalign.io.serve.worker.memory import Memory
from jaxalign.io.serve.worker.policies import pack_policy
from tests.io.serve.worker.running import WIDTH, Backwards, Switched, add_examples, storing

MODELS = ("small", "large")


@pytest.fixture
def store(tmp_path):
    with storing(tmp_path) as found:
        yield found


def remember(store, embedder=None, **options):
    return Memory(store, embedder or HashEmbedder(WIDTH), MODELS, **options)


def contents(memory):
    """All that a memory knows of each example, by the store's id."""
    view, table = memory.view, {name: np.asarray(each) for name, each in memory.view.table._asdict().items()}
    indexed = {}
    for partition, state in view.states.items():
        for row, vector in zip(*memory.index.contents(state), strict=True):
            indexed[int(view.ids[row])] = (partition, vector.round(5).tolist())
    found = {}
    for row in np.flatnonzero(table["live"]):
        facts = {name: np.round(each[row], 4).tolist() for name, each in table.items() if name != "live"}
        found[int(view.ids[row])] = facts | {"index": indexed.pop(int(view.ids[row])), "owner": int(view.users[row])}
    assert not indexed and len(found) == len(memory)
    return found


def test_following_is_as_reading_everything(store):
    """Inserts, updates and deletes in any order."""
    rng = np.random.default_rng(0)
    memory, ids = remember(store), []
    for turn in range(12):
        who = {"tenant": ("a", "b")[rng.integers(2)], "user": ("x", "y")[rng.integers(2)], "shared": rng.random() < 0.3}
        ids += add_examples(store, [f"text {turn} {number}" for number in range(rng.integers(1, 12))], **who)
        if rng.random() < 0.7:
            gone = rng.choice(ids, min(len(ids), rng.integers(1, 6)), replace=False).tolist()
            store.delete_examples(gone)
            ids = [each for each in ids if each not in gone]
        if ids:
            one = int(rng.choice(ids))
            store.update_examples([ExampleUpdate(one, 0.9, 1.5, 2.5, store.born() + 7200, turn)])
        if rng.random() < 0.5:
            memory.follow()
    store.delete_user("a", "x")
    followed = memory.follow()
    assert len(followed.users) <= 1 and not followed.anew
    fresh = remember(store)
    assert fresh.follow().anew
    assert contents(memory) == contents(fresh) and len(memory) == len(store.find_examples(limit=500))
    assert memory.position == fresh.position


def test_nothing_of_a_deleted_example_stays_in_a_view(store):
    (id,) = add_examples(store, ["a secret of ann"])
    kept = add_examples(store, ["something of bob"], user="bob")
    memory = remember(store)
    memory.follow()
    row = memory.place(id)
    store.delete_user("acme", "ann")
    (user,) = memory.follow().users
    view = memory.view
    assert memory.place(id) == -1 and id not in view.ids and user not in view.users
    for leaf in view.table:
        assert not np.asarray(leaf)[row].any()
    secret, _ = HashEmbedder(WIDTH).embed(["a secret of ann"])
    for leaf in jax.tree.leaves(dict(view.states)):
        assert leaf.ndim == 1 or (np.abs(np.asarray(leaf) - secret).max(-1) > 0.01).all()
    assert view.ids[view.ids >= 0].tolist() == kept


def test_updates_reach_the_table(store):
    (id,) = add_examples(store, ["how tall is it"])
    memory, embedder = remember(store), HashEmbedder(WIDTH)
    memory.follow()
    (vector,), _ = embedder.embed(["quite another response"])
    new = ExampleUpdate(id, 0.75, 1.5, 2.0, store.born() + 5400, 1, "quite another response", 33)
    store.update_examples([new], embedder.id, {id: vector})
    memory.follow()
    table, row = memory.view.table, memory.place(id)
    assert (float(table.quality[row]), float(table.gain[row]), float(table.offloads[row])) == (0.75, 1.5, 2.0)
    assert float(table.updated[row]) == pytest.approx(1.5, abs=1e-4)  # hours since the store was made
    assert int(table.tokens[row]) == 33 and int(table.replays[row]) == 1
    assert int(table.size[row]) == len("how tall is it") + len("quite another response")
    np.testing.assert_allclose(table.responses[row], vector, atol=1e-6)


def test_another_embedder_embeds_anew(store):
    ids = add_examples(store, [f"text {number}" for number in range(70)])
    other = Backwards(WIDTH)
    memory = remember(store, other)
    memory.follow()
    assert (len(memory), memory.missing) == (0, 70)
    while memory.embed_missing():
        pass
    assert sorted(memory.view.ids[memory.view.ids >= 0].tolist()) == ids and memory.missing == 0
    expected, _ = other.embed(["text 3"])
    np.testing.assert_allclose(memory.view.table.requests[memory.place(ids[3])], expected[0], atol=1e-6)
    # The store has them now.
    again = remember(store, other)
    again.follow()
    assert (len(again), again.missing) == (70, 0)


def test_requests_that_the_embedder_cannot_read_whole_never_join(store):
    class Short(HashEmbedder):
        def embed(self, texts):
            vectors, _ = super().embed([text[:5] for text in texts])
            return type(super().embed([]))(vectors, np.array([len(text) > 5 for text in texts], bool))

    short = Short(WIDTH)
    short.id = "short"
    (whole, _) = add_examples(store, ["text", "text with an end of its own"])
    memory = remember(store, short)
    memory.follow()
    while memory.embed_missing():
        pass
    assert contents(memory).keys() == {whole} and memory.unread == 1


def test_a_new_view_is_prepared_before_it_is_exchanged(store):
    seen = []

    def prepare(view):
        seen.append((len(memory.view.ids[memory.view.ids >= 0]), len(view.ids[view.ids >= 0])))

    memory = remember(store, prepare=prepare)
    memory.follow()
    add_examples(store, ["one", "two"])
    memory.follow()
    assert seen == [(0, 0), (0, 2)]


def test_a_failure_in_between_costs_a_reading_of_everything(store):
    switched = Switched(store)
    memory = remember(switched)
    memory.follow()
    ids = add_examples(store, ["one", "two"])
    switched.gone = True
    with pytest.raises(StoreError):
        memory.follow()
    switched.gone = False
    memory.follow()
    failing = [True]

    def prepare(view):
        if failing.pop():
            raise RuntimeError("a fault")

    memory._prepare = prepare
    store.delete_examples(ids[:1])
    with pytest.raises(RuntimeError):
        memory.follow()
    failing.append(False)
    assert memory.follow().anew and contents(memory).keys() == set(ids[1:])


def test_the_policy_in_use_is_loaded_and_taken_back(store):
    memory = remember(store)
    memory.follow()
    first = memory.view.policy
    assert memory.view.version == "initial"
    other = first._replace(thresholds=first.thresholds._replace(counts=first.thresholds.counts + 1))
    for number in range(2):
        policy = jax.tree.map(lambda each: each, (first, other)[number])
        name, data = pack_policy(policy, memory.ground, {"number": number})
        store.save_policy(name, data, {})
        store.choose_policy(name)
        memory.follow()
        assert memory.view.version == name and float(memory.view.policy.thresholds.counts[0]) == number
    store.choose_policy(pack_policy(first, memory.ground, {})[0])
    memory.follow()
    assert float(memory.view.policy.thresholds.counts[0]) == 0


def test_a_policy_of_other_models_is_not_used(store):
    memory = remember(store)
    name, data = pack_policy(memory.view.policy, memory.ground._replace(models=("large", "small")), {})
    store.save_policy(name, data, {})
    store.choose_policy(name)
    memory.follow()
    assert memory.view.version == "initial"
    assert "['large', 'small'], here there are ['small', 'large']" in memory.refused
