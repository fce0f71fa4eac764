import functools
import json

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxalign import numerics, sharding, training
from jaxalign.io.run import checkpoints, loop
from jaxalign.io.run.writers import read_metrics
from tests.io.run import tiny

KEY = jax.random.key(3)
OPTIMIZER = optax.sgd(1.0)


def slope(params, batch, key):
    """SGD on w * x: w falls by what it saw; "draw" shows the key."""
    draw = jax.random.bits(key, (), jnp.uint32) % 1000
    return numerics.ratio(params["w"] * batch), {"draw": numerics.Ratio(draw, jnp.float32(1))}


STEP = training.make_train_step(slope, OPTIMIZER)


def fit(directory, values, *, step=STEP, **options):
    """One row per batch, in the order of ``values``; all of them unless ``num_steps`` says otherwise."""
    dataset = grain.MapDataset.source([np.float32([value]) for value in values]).to_iter_dataset()
    state = training.init_state({"w": jnp.float32(0)}, OPTIMIZER)
    options = {"num_steps": len(values), "key": KEY, "checkpoint_every": None, **options}
    return loop.fit(step, state, dataset, directory=directory, **options)


def column(directory, name):
    return [(row["step"], row[name]) for row in read_metrics(directory) if name in row]


def test_by_hand(tmp_path):
    state = fit(tmp_path, [1, 2, 3])
    assert float(state.params["w"]) == -6 and int(state.step) == 3
    # The losses before each update: 0 * 1, -1 * 2, -3 * 3.
    assert column(tmp_path, "loss") == [(1, 0), (2, -2), (3, -9)]
    assert column(tmp_path, "grad_norm") == [(1, 1), (2, 2), (3, 3)]
    draws = [int(jax.random.bits(jax.random.fold_in(KEY, index), (), jnp.uint32) % 1000) for index in range(3)]
    assert column(tmp_path, "draw") == list(enumerate(draws, start=1))


def test_metrics_are_read_one_step_late(tmp_path):
    seen = []

    def step(state, batch, key):
        seen.append(len(read_metrics(tmp_path)))
        return STEP(state, batch, key)

    fit(tmp_path, [1, 2, 3, 4, 5], step=step)
    # When step n is called, step n - 1 is on the device and the row of step n - 2 was the last to be written.
    assert seen == [0, 0, 1, 2, 3]
    assert len(read_metrics(tmp_path)) == 5


def test_fewer_rows(tmp_path):
    fit(tmp_path, [1] * 7, log_every=3, eval_fn=lambda state: {"w": float(state.params["w"])}, eval_every=4)
    assert [step for step, _ in column(tmp_path, "loss")] == [3, 4, 6, 7]
    assert column(tmp_path, "eval/w") == [(4, -4), (7, -7)]


def test_the_best_evaluation_is_kept_across_a_break(tmp_path):
    scores = {2: 0.5, 4: 0.9, 6: 0.7, 8: 0.8}

    def run(num_steps):
        return fit(
            tmp_path,
            range(8),
            num_steps=num_steps,
            eval_fn=lambda state: {"score": numerics.Ratio(np.float32(scores[int(state.step)] * 3), np.float32(3))},
            eval_every=2,
            best=lambda evaluation: evaluation["score"],
        )

    run(6)
    run(8)
    assert checkpoints.load_params(tmp_path / "best")["w"] == -(0 + 1 + 2 + 3)
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["4"]


def test_a_best_state_from_after_the_restored_step_makes_way(tmp_path):
    def run(num_steps, scores):
        fit(
            tmp_path,
            range(4),
            num_steps=num_steps,
            eval_fn=lambda state: {"score": scores[int(state.step)]},
            eval_every=1,
            best=lambda evaluation: evaluation["score"],
        )

    run(2, {1: 0.1, 2: 0.9})
    with checkpoints.Checkpoints(tmp_path / "checkpoints") as saved:
        state = training.init_state({"w": jnp.float32(0)}, OPTIMIZER)
        saved.save(1, state._replace(step=jnp.int32(1)), {"next_index": 1})
        saved.discard_after(1)  # as if the process had died before the checkpoint of step 2
    run(4, {2: 0.2, 3: 0.3, 4: 0.2})
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["3"]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_non_finite_loss_stops_with_the_last_good_state_saved(tmp_path, broken):
    values = [1, 2, 3, broken, 5, 6]
    message = r"at step 4 \(batch 3 of the data, counted from 0\).*saved as checkpoint 3 in .*checkpoints"
    with pytest.raises(FloatingPointError, match=rf"loss is {'nan' if np.isnan(broken) else '-inf'}.*{message}"):
        fit(tmp_path, values, checkpoint_every=2)
    assert checkpoints.load_params(tmp_path / "checkpoints")["w"] == -6
    assert len(read_metrics(tmp_path)) == 3
    with pytest.raises(FloatingPointError, match=message):  # the same command comes to the same batch
        fit(tmp_path, values, checkpoint_every=2)
    state = fit(tmp_path, [1, 2, 3, 4, 5, 6])  # the data mended: as if nothing had happened
    assert float(state.params["w"]) == -21
    assert column(tmp_path, "loss") == [(1, 0), (2, -2), (3, -9), (4, -24), (5, -50), (6, -90)]


def test_a_non_finite_first_step(tmp_path):
    with pytest.raises(FloatingPointError, match=r"at step 1 .*before it is the initial one"):
        fit(tmp_path, [np.nan, 1])
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


def test_data_that_ends_early_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"ended after 3 batches, before num_steps=5.*set num_steps=3"):
        fit(tmp_path, [1, 2, 3], num_steps=5)


def test_data_without_a_position_is_an_error(tmp_path):
    with pytest.raises(TypeError, match=r"is a list_iterator without get_state and set_state.*Use a Grain dataset"):
        loop.fit(
            STEP,
            training.init_state({"w": jnp.float32(0)}, OPTIMIZER),
            [np.ones(1)],
            key=KEY,
            num_steps=1,
            directory=tmp_path,
        )


def test_summary(tmp_path):
    @jax.jit
    def step(state, batch, key):  # compiled once per shape of a batch
        return state._replace(step=state.step + 1), {
            "loss": numerics.ratio(batch["x"]),
            "tokens": numerics.Ratio(jnp.float32(batch["x"].size), jnp.float32(2)),
        }

    sizes = [4, 4, 6, 4, 6, 8]
    dataset = grain.MapDataset.source([{"x": np.ones(size, np.float32)} for size in sizes]).to_iter_dataset()
    state = training.init_state({"w": jnp.float32(0)}, OPTIMIZER)
    loop.fit(step, state, dataset, key=KEY, num_steps=6, directory=tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["recompilations"] == 2  # for 6 and for 8
    assert summary["compile_seconds"] > 0
    assert summary["tokens_per_second"] == pytest.approx(sum(sizes) / summary["seconds"], rel=0.5)
    assert summary["step"] == summary["steps"] == 6 and summary["metrics"] == {"loss": 1, "tokens": 4}
    assert 0 < summary["step_seconds_p50"] <= summary["step_seconds_p90"] <= summary["step_seconds_p99"]
    assert {"data_seconds", "checkpoint_seconds"} <= summary.keys()


def test_a_run_may_go_on_on_another_mesh(tmp_path):
    rules = sharding.Rules({})

    def run(directory, num_steps, **sizes):
        mesh = sharding.make_mesh(**sizes)
        step = training.make_train_step(tiny.loss_fn, tiny.OPTIMIZER, mesh=mesh, rules=rules)
        state = tiny.init_state(mesh=mesh, rules=rules)
        place = functools.partial(sharding.place_batch, mesh=mesh, rules=rules)
        dataset = tiny.make_dataset()
        return loop.fit(step, state, dataset, key=KEY, num_steps=num_steps, directory=directory, place=place)

    run(tmp_path / "two", 4, data=8, fsdp=1)
    two = run(tmp_path / "two", 8, data=2, fsdp=2, tensor=2)
    one = tiny.run(tmp_path / "one", key=KEY, num_steps=8)
    np.testing.assert_allclose(two.params["w"], one.params["w"], rtol=1e-5)
    np.testing.assert_allclose(
        [loss for _, loss in column(tmp_path / "two", "loss")],
        [loss for _, loss in column(tmp_path / "one", "loss")],
        rtol=1e-5,
    )


def test_a_run_stops_when_evaluations_no_longer_rise(tmp_path, capsys):
    scores = {2: 0.5, 4: 0.9, 6: 0.7, 8: 0.8, 10: 1.0}

    def run(num_steps=10):
        return fit(
            tmp_path,
            range(1, 11),
            num_steps=num_steps,
            eval_fn=lambda state: {"score": scores[int(state.step)]},
            eval_every=2,
            best=lambda evaluation: evaluation["score"],
            patience=2,
        )

    run(6)  # a break after the first evaluation that is no better
    state = run()
    assert int(state.step) == 8  # the second one
    assert (
        "stopped after step 8 of 10: the best score, 0.9, is that of step 4, 2 evaluations ago"
        in capsys.readouterr().err
    )
    assert float(checkpoints.load_params(tmp_path / "best")["w"]) == -(1 + 2 + 3 + 4)
    assert int(run().step) == 8 and len(read_metrics(tmp_path)) == 8  # and it stays stopped
    with pytest.raises(ValueError, match="pass best"):
        fit(tmp_path / "other", [1], patience=1)


def test_each_step_is_watched_as_its_metrics_arrive(tmp_path):
    seen = []
    fit(tmp_path, [1, 2, 3], watch=lambda step, values: seen.append((step, values["loss"])))
    assert seen == [(1, 0), (2, -2), (3, -9)]
