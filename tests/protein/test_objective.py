"""The multi-task loss by hand, what missing labels do, and the statistics of batch norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import protein, training
from jaxalign.numerics import Ratio
from tests.protein import tiny

TASKS = tiny.TASKS


def labelled(seed=0, *, known=True, **options):
    """A tiny graph with labels of all tasks; half of the chains of ``site`` are not labelled."""
    graph = tiny.graph(seed, **options)
    rng, chains = np.random.default_rng(seed), graph.num_chains
    targets = {
        "affinity": rng.normal(5, 1, 1).astype(np.float32),
        "family": rng.integers(0, 2, (chains, 3)).astype(np.float32),
        "site": rng.integers(0, 2, (chains, 2)).astype(np.float32),
    }
    masks = {"affinity": np.array([known]), "family": np.ones(chains, bool), "site": np.arange(chains) % 2 == 0}
    return protein.LabelledGraph(graph, targets, masks)


def batch_of(*graphs, spare=0, like=None, tasks=TASKS):
    return protein.batch_labelled(graphs, [tiny.room([each.graph for each in graphs], spare, like)], tasks)


def test_losses_by_hand():
    """Numbers: (1^2 + 3^2) / 2 = 5, the third not being labelled. Classes at logit 0: ln 2 whatever the label."""
    tasks = (protein.Task("x", "graph"), protein.Task("y", "chain", "classes", 2))
    outputs = {"x": jnp.array([1.0, 3.0, 100.0]), "y": jnp.zeros((2, 2)).at[1].set(50.0)}
    batch = protein.LabelledBatch(
        None,
        {"x": jnp.zeros(3), "y": jnp.array([[1.0, 0.0], [0.0, 0.0]])},
        {"x": jnp.array([True, True, False]), "y": jnp.array([True, False])},
    )
    losses = protein.task_losses(outputs, batch, tasks)
    assert (float(losses["x"].numerator), float(losses["x"].denominator)) == (10, 2)
    np.testing.assert_allclose(losses["y"].value, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(protein.multi_task_loss(losses, tasks), 5 + 10 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(protein.multi_task_loss(losses, tasks, class_weight=1.0), 5 + np.log(2), rtol=1e-6)


def test_a_task_without_labels_adds_nothing():
    tasks = (protein.Task("x", "graph"),)
    assert float(protein.multi_task_loss({"x": Ratio(jnp.zeros(()), jnp.zeros(()))}, tasks)) == 0


def test_missing_labels_teach_nothing(allow_nans):
    """Whatever stands in the place of a label that is missing, loss and gradient are the same."""
    network = tiny.network(num_layers=1, dropout=0.0)
    graph = labelled(known=False)
    batch = batch_of(graph, spare=3)
    hidden = {name: np.where(_like(batch.masks[name], x), x, np.nan) for name, x in batch.targets.items()}
    params = tiny.variables(network)["params"]
    loss_fn = jax.jit(jax.value_and_grad(protein.make_protein_loss(network), has_aux=True))
    (ours, metrics), slope = loss_fn(params, batch, jax.random.key(0))
    (theirs, _), other = loss_fn(params, batch._replace(targets=hidden), jax.random.key(0))
    assert float(ours) == float(theirs) and float(metrics["affinity"].denominator) == 0
    jax.tree.map(np.testing.assert_array_equal, slope, other)
    assert not np.any(slope["readouts"]["affinity_head"]["output"]["kernel"])


def _like(flags, values):
    return flags.reshape(flags.shape + (1,) * (values.ndim - 1))


def test_training_learns_a_small_set():
    network = tiny.network(dropout=0.0)
    batch = batch_of(labelled(0), labelled(1), labelled(2, residues=(6,)))
    params = tiny.variables(network)["params"]
    optimizer = training.adamw(3e-3, clip_norm=10.0)
    step = training.make_train_step(protein.make_protein_loss(network), optimizer)
    state = training.init_state(params, optimizer)
    losses = []
    for number in range(30):
        state, metrics = step(state, batch, jax.random.key(number))
        losses.append(float(metrics["loss"].value))
    assert losses[-1] < 0.2 * losses[0]
    # With the statistics of this very batch, evaluation is what training saw.
    stats = protein.population_statistics(network, state.params, [batch])
    predicted = protein.predict(network, {"params": state.params, "batch_stats": stats}, batch.graphs)
    outputs, _ = tiny.train(network, {"params": state.params}, batch.graphs, jax.random.key(0))
    np.testing.assert_allclose(predicted["affinity"], outputs["affinity"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(predicted["family"], jax.nn.sigmoid(outputs["family"]), atol=1e-4)


def test_population_statistics_of_batches_are_those_of_the_whole():
    """Those of the first layer are exact: its input does not depend on other batch norms."""
    network = tiny.network()
    graphs = [labelled(0), labelled(1, residues=(9,)), labelled(2)]
    params = tiny.variables(network)["params"]
    together = batch_of(*graphs)
    apart = [batch_of(*some, like=together.graphs) for some in (graphs[:1], graphs[1:])]
    parts = protein.population_statistics(network, params, apart)
    whole = protein.population_statistics(network, params, [together])
    first = lambda stats: stats["encoder"]["layer_0"]["batch_norm"]  # noqa: E731
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first(parts), first(whole))
    with pytest.raises(ValueError, match="at least one batch"):
        protein.population_statistics(network, params, [])
