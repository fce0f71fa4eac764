"""Second answers, probes and replays: real HTTP to simulated models, one of which judges by a rule."""

import dataclasses

import pytest

from jaxalign.io.serve.config import Model, Upstream
from jaxalign.io.serve.learner.asking import Upstreams
from jaxalign.io.serve.learner.learning import Learner
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from jaxalign.io.serve.store.rows import ExampleUpdate
from tests.io.serve.learner.feeding import EMBEDDER, ids, interaction
from tests.io.serve.worker.running import Switched, add_examples, configured, storing

JUDGED = {"judge": "judge", "replays": 2}


def answer(messages, body):
    """The large model's are good; the small one's are where it is shown something useful."""
    good = body["model"] == "large" or "useful" in str(messages)
    return "a fine answer" if good else "a poor answer"


def judge(messages, body):
    """The fine answer wins, wherever it is shown; of equal ones nobody knows."""
    first, _, second = messages[-1]["content"].partition("RESPONSE B")
    fine = ["a fine answer" in part for part in (first, second)]
    return "I cannot say." if fine[0] == fine[1] else f"Answer: {'A' if fine[0] else 'B'}"


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A store, and the settings with upstreams that answer."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    models = [SimulatedModel(name, answer=answer) for name in ("small", "large")]
    with storing(tmp_path) as store, serving([*models, SimulatedModel("judge", answer=judge)]) as simulated:
        yield store, settings(simulated.url)


def settings(url, **learning):
    config = configured(learning=JUDGED | learning)
    models = (*config.models, Model("judge", "here", prompt_price=1.0))
    return dataclasses.replace(config, models=models, upstreams=(Upstream("here", url),))


def learner_of(store, config):
    return Learner(config, store, EMBEDDER, Upstreams(config))


def votes(store):
    return [(each.feedback.kind, each.feedback.outcome, each.feedback.subject) for each in store.untold(20)]


def test_second_answers_and_probes_are_asked_once_and_compared_in_both_orders(asking):
    store, config = asking
    useful, useless = add_examples(store, ["a useful example", "another example"])
    one, two, *_ = ids(3, held_out=False)
    (held,) = ids(1, held_out=True)
    fine, poor = {"response": "a fine answer"}, {"response": "a poor answer"}
    rows = [
        interaction(store, one, model="small", opponent="large", **poor),
        interaction(store, two, model="large", probes=(useful, useless), **fine),
        interaction(store, held, model="small", opponent="large", **poor),
    ]
    store.add_interactions(rows)
    learner = learner_of(store, config)
    assert learner.round().asked == 3
    # The useless example changes nothing, which is a tie; nobody learns of what is held out.
    probes = [("probe", 1.0, str(useful)), ("probe", 0.5, str(useless))]
    assert votes(store) == [("comparison", 0.0, "large"), *probes]
    assert learner.asker.counts == (3, 0, 0)
    assert store.interactions(pending=True, limit=9) == []
    learnt = learner.round()
    assert (learnt.asked, learnt.told) == (0, 3)
    posterior = learner._policy.posterior
    assert posterior.wins.tolist() == [0, 1, 0] and posterior.losses.tolist() == [1, 0, 0]
    assert int(learner.buffers.pairs.pairs.where.sum()) == 2


def test_an_upstream_that_is_gone_is_counted_and_not_asked_for_ever(tmp_path):
    with storing(tmp_path) as store:
        (one,) = ids(1, held_out=False)
        store.add_interactions([interaction(store, one, opponent="large")])
        learner = learner_of(store, settings("http://127.0.0.1:9/v1"))
        assert learner.round().asked == 1 and learner.asker.counts.failed == 1
        assert store.interactions(pending=True, limit=9) == [] and votes(store) == []


def test_replays_keep_the_better_response(asking):
    store, config = asking
    poor, fine = add_examples(store, ["a question with a poor answer", "a question with a fine answer"])
    rows = [ExampleUpdate(each, 0.5, 1.0, 0.0, store.born(), 0) for each in (poor, fine)]
    store.update_examples(rows)
    learner = learner_of(store, config)
    assert learner.round().replayed == 2
    found = {each.id: each for each in store.examples([poor, fine])}
    # The old response of the second one mentions a fine answer too: no verdict in any of 4 comparisons, and it stays.
    assert learner.asker.counts == (4, 4, 0)
    assert found[poor].response == "a fine answer" and found[poor].quality == 0.75
    assert found[fine].response == "a question with a fine answer" and found[fine].quality == 0.5
    assert all(each.replays == 1 and each.gain == 0 for each in found.values())
    assert learner.round().replayed == 0  # without gain there is no reason
    expected, _ = EMBEDDER.embed(["a fine answer"])
    response = learner.memory.view.table.responses[learner.memory.place(poor)]
    assert float(expected[0] @ response) == pytest.approx(1, abs=1e-5)


def test_a_store_that_goes_in_between_leaves_the_question_open(asking):
    store, config = asking
    (one,) = ids(1, held_out=False)
    store.add_interactions([interaction(store, one, opponent="large", response="a poor answer")])
    switched = Switched(store)
    learner = learner_of(switched, config)
    learner._follow()
    switched.gone = True
    with pytest.raises(Exception, match="taken away"):
        learner.asker.settle(store.interactions(pending=True, limit=1)[0], second=True)
    assert [each.id for each in store.interactions(pending=True, limit=9)] == [one]
