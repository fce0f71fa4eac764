"""experiments.echolm: a toy run of several methods; what is served is kept; a saved state decides alike."""

import shutil

import jax
import numpy as np
import pytest

from experiments.common.fields import replace
from experiments.echolm import __main__ as echolm
from experiments.echolm import grounds, learner, simulate
from experiments.echolm.figures import COST, QUALITY, TO_SMALL
from experiments.echolm.held_out import REGRET
from experiments.echolm.methods import (
    CLASSIFIER,
    ECHOLM,
    GAIN_REPLAY,
    LARGE_ONLY,
    METHODS,
    MIXES,
    ORACLE,
    REUSE,
    SMALL_ONLY,
    SMALL_RANDOM,
)
from experiments.echolm.simulate import Simulation
from jaxalign.io import versions

ROWS = (ECHOLM, LARGE_ONLY, SMALL_ONLY, SMALL_RANDOM, MIXES[0], REUSE, CLASSIFIER, ORACLE)
POLICIES = dict(learn_every=16, rated=0.5, asked=0.5, probed=0.2, replays=4, store_bytes=4e5)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    output = tmp_path_factory.mktemp("echolm")
    config = replace(echolm.DEFAULT, num_requests=(256, 200), methods=ROWS, output=output, **POLICIES)
    return config, echolm.main(config)


def served(found, method, figure):
    return found[f"{echolm.SERVED}/{method}/{figure}"]


def test_a_toy_run_has_all_methods_and_a_report(toy):
    config, found = toy
    assert {name.split("/")[1] for name in found if name.startswith(echolm.SERVED)} == set(ROWS)
    assert served(found, LARGE_ONLY, TO_SMALL) == 0 and served(found, SMALL_ONLY, TO_SMALL) == 1
    assert served(found, LARGE_ONLY, COST) == 1 and served(found, SMALL_ONLY, COST) == pytest.approx(0.1, rel=1e-4)
    assert 0 < served(found, MIXES[0], TO_SMALL) < 1 and served(found, REUSE, COST) < 1
    # The best choice from the same store has no regret, and random examples are worse than none.
    assert served(found, ORACLE, "regret, last fifth") == pytest.approx(0, abs=1e-4)
    assert served(found, SMALL_RANDOM, QUALITY) < served(found, SMALL_ONLY, QUALITY)
    page = (config.output / "report.html").read_text()
    for text in (ECHOLM, "Cumulative regret", "Latency, p99", "The traffic of seed 0"):
        assert text in page


def test_the_same_command_serves_nothing_again(toy):
    config, found = toy
    kept = sorted((config.output / "seed-0/served").iterdir())
    before = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == len(ROWS) and echolm.main(config) == found
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_versions_of_the_policy_are_compared_and_the_best_is_in_use(toy):
    config, found = toy
    # 25 batches of 8: a version at the start and after each 5 batches.
    regrets = {int(name.split("/")[1].split()[1]): value for name, value in found.items() if REGRET in name}
    saved = versions.list_versions(config.output / "seed-0/policies")
    assert sorted(regrets) == sorted(each.note["requests"] for each in saved) == [0, 40, 80, 120, 160]
    chosen = versions.current_version(config.output / "seed-0/policies")
    (requests,) = (each.note["requests"] for each in saved if each.name == chosen)
    assert regrets[requests] == min(regrets.values()) and max(regrets.values()) < 100


def test_another_load_in_the_same_folder_is_refused(toy, tmp_path):
    config, _ = toy
    with pytest.raises(ValueError, match="load"):
        echolm.main(replace(config, load=2.0))
    # A run that was killed has left policies only; those of another load must not be compared with them.
    shutil.copytree(config.output, tmp_path, dirs_exist_ok=True)
    (tmp_path / "report.html").unlink()
    shutil.rmtree(tmp_path / "seed-0/served")
    with pytest.raises(ValueError, match="load"):
        echolm.main(replace(config, load=2.0, output=tmp_path))


@pytest.fixture(scope="module")
def grown():
    """A method that learns, forgets and replays, half way through its traffic."""
    ground = grounds.make(0, (256, 512 + 8), 1.0, "")
    dials = learner.Dials(**echolm.flat(replace(echolm.DEFAULT, **POLICIES).policies))
    simulation = Simulation(METHODS[GAIN_REPLAY], ground, dials, 0)
    simulation.run()
    return simulation


def test_examples_are_forgotten_until_the_store_fits(grown):
    state = grown.memory.state
    # Evicted at request 512; the batch after it may have brought 8 more.
    assert 3.8e5 < float(state.table.size.sum()) < 4e5 + 8 * 6000
    live = np.flatnonzero(np.asarray(state.table.live))
    ids, _ = grown.memory.index.contents(state.index)
    assert live.tolist() == ids.tolist()
    assert int(state.table.replays.max()) >= 1


def test_deciding_and_learning_compile_once(grown, toy):
    # All requests of all methods came in batches of one size, to tables of one capacity.
    for step in (learner.route, learner.learn, learner.doubt, learner.add_feedback, learner.add_pairs):
        assert step._cache_size() == 1


def test_a_state_that_was_saved_and_restored_decides_alike_bit_for_bit(grown, tmp_path):
    memory, traffic = grown.memory, grown.ground.traffic
    fresh = learner.init_state(jax.random.key(7), 64, memory.index)
    version = versions.save_version(tmp_path, memory.state, note={"requests": 520})
    restored = versions.load_version(tmp_path, fresh, version)
    queries, key = traffic.embeddings[: simulate.BATCH], jax.random.key(5)

    def decide(state):
        hits = memory.index.search(state.index, queries, learner.CANDIDATES)
        tried, chosen = learner.choose(state.policy, state.table, key, queries, hits, budget=400)
        routed = learner.route(state.policy, state.table, key, queries, chosen, np.array([0.01, 0.1], np.float32))
        return hits, tried, chosen, routed, learner.learn(state.policy, state.buffer, state.pairs, key)

    for one, other in zip(*(jax.tree.leaves(decide(state)) for state in (memory.state, restored)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
