"""Laws of the network: equivariance, independence of what is beside a graph, and numbers of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import protein
from tests.protein import tiny
from tests.protein.tiny import outputs, train

ABLATIONS = {
    "published": {},
    "no heterogeneity": dict(heterogeneous=False),
    "alpha-carbons": dict(num_channels=1),
    "mean readout": dict(task_aware=False),
    "single task": dict(tasks=tiny.TASKS[1:2]),
    "embeddings": dict(embedding_size=5),
}


def assert_same(ours, theirs, *, atol=1e-4):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def example():
    return tiny.batch(tiny.graph(0), tiny.graph(1, residues=(5,), ligand=0), spare=3)


@pytest.fixture(scope="module")
def trained(example):
    model = tiny.network()
    return model, tiny.variables(model)


def test_encode_is_what_predictions_are_made_from(example):
    """The network runs without jit, as in a notebook."""
    model = tiny.network(num_layers=1)
    variables = jax.device_put(tiny.variables(model))
    encoded = model.apply(variables, example, method="encode")
    ours = {"features": encoded.features, "coordinates": encoded.coordinates}
    theirs = outputs(model, variables, example)
    assert_same(ours, {name: theirs[name] for name in ours})


def test_layers_move_atoms(trained, example):
    """What the laws below are about happens: coordinates move by angstroms, and features feel geometry."""
    model, variables = trained
    before = outputs(model, variables, example)
    shift = np.abs(before["coordinates"] - example.coordinates)[np.asarray(example.channel_mask)]
    assert shift.mean() > 0.3
    squeezed = outputs(model, variables, example._replace(coordinates=example.coordinates * np.float32([1, 1, 0.3])))
    assert np.abs(before["features"] - squeezed["features"]).max() > 0.01


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [(tiny.rotation(1), 0.0), (tiny.rotation(2, reflect=True), 0.0), (np.eye(3, dtype=np.float32), 100.0)],
    ids=["rotation", "reflection", "translation"],
)
def test_equivariance_in_float32(trained, example, matrix, shift):
    model, variables = trained
    expected = outputs(model, variables, example)
    moved = tiny.moved(example._replace(coordinates=np.asarray(expected["coordinates"])), matrix, shift).coordinates
    assert_same(outputs(model, variables, tiny.moved(example, matrix, shift)), expected | {"coordinates": moved})


def test_the_reference_breaks_translation_as_the_spec_says(example):
    model = tiny.network(reference_eps=True)
    variables = tiny.variables(model)
    expected, away = (outputs(model, variables, tiny.moved(example, shift=shift)) for shift in (0.0, 100.0))
    assert np.abs(away["coordinates"] - expected["coordinates"] - 100)[np.asarray(example.channel_mask)].max() > 1e-4


@pytest.mark.parametrize("name", ABLATIONS)
def test_neighbours_and_padding_change_nothing(name, float64):
    settings = dict(ABLATIONS[name])
    size = settings.get("embedding_size", 0)
    first, second = tiny.graph(0, embedding_size=size), tiny.graph(1, residues=(9, 1), embedding_size=size)
    both = tiny.batch(second, first, spare=11)
    model = tiny.network(**settings)
    variables = tiny.wide(tiny.variables(model))
    # Padding names the first graph, its first node and chain: here those of this graph, together those of the other.
    alone = tiny.batch(first, like=both)
    together, single = (outputs(model, variables, tiny.wide(batch)) for batch in (both, alone))
    nodes = slice(len(second.types), len(second.types) + len(first.types))
    chains = slice(second.num_chains, second.num_chains + first.num_chains)
    picks = {task.name: chains if task.level == "chain" else slice(1, 2) for task in tiny.TASKS}
    picks |= {"features": nodes, "coordinates": nodes}
    expected = {task.name: slice(first.num_chains if task.level == "chain" else 1) for task in tiny.TASKS}
    expected |= {"features": slice(len(first.types)), "coordinates": slice(len(first.types))}
    assert_same(
        {key: value[picks[key]] for key, value in together.items()},
        {key: value[expected[key]] for key, value in single.items()},
        atol=1e-12,
    )


def test_order_of_nodes_is_nothing(trained, example):
    model, variables = trained
    order = np.random.default_rng(0).permutation(len(example.types))
    place = np.argsort(order).astype(np.int32)
    per_node = ("coordinates", "elements", "channel_mask", "types", "node_mask", "graph_ids", "chain_ids")
    shuffled = example._replace(**{name: getattr(example, name)[order] for name in per_node})
    shuffled = shuffled._replace(senders=place[example.senders], receivers=place[example.receivers])
    ours, theirs = outputs(model, variables, shuffled), outputs(model, variables, example)
    theirs |= {name: np.asarray(theirs[name])[order] for name in ("features", "coordinates")}
    assert_same(ours, theirs, atol=2e-5)


def test_gradients_are_finite_where_distances_vanish(allow_nans):
    """Self-loops, a chain of one residue with one atom, and atoms of two residues at one place."""
    graph = tiny.graph(4, residues=(6, 1))
    coordinates, mask = graph.coordinates.copy(), graph.channel_mask.copy()
    mask[6, 1:] = False
    coordinates[6, 1:] = 0
    coordinates[2, :4] = coordinates[1, :4]
    batch = tiny.batch(graph._replace(coordinates=coordinates, channel_mask=mask), spare=4)
    model = tiny.network()
    variables = tiny.variables(model)

    def loss_fn(params, coordinates):
        values = outputs(model, variables | {"params": params}, batch._replace(coordinates=coordinates))
        real = {"coordinates": batch.channel_mask[..., None], "features": batch.node_mask[:, None]}
        return sum(jnp.where(real.get(name, True), value, 0).sum() for name, value in values.items())

    value, slopes = jax.jit(jax.value_and_grad(loss_fn, argnums=(0, 1)))(variables["params"], batch.coordinates)
    assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_batch_norms_count_no_padding():
    model = tiny.network(dropout=0.0)
    variables = tiny.variables(model)
    graph, key = tiny.graph(5), jax.random.key(0)
    tight, padded = (train(model, variables, tiny.batch(graph, spare=spare), key) for spare in (0, 9))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), tight[1], padded[1])
    np.testing.assert_allclose(tight[0]["affinity"][0], padded[0]["affinity"][0], rtol=1e-3)
    jax.tree.map(
        lambda a, b: np.testing.assert_raises(AssertionError, np.testing.assert_array_equal, a, b),
        tight[1],
        variables["batch_stats"],
    )


def test_dropout_acts_in_training_only(trained, example):
    model, variables = trained
    first, second = (train(model, variables, example, jax.random.key(seed))[0]["affinity"] for seed in (0, 1))
    assert (first != second).any()
    first, second = (outputs(model, variables, example, seed)["affinity"] for seed in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_no_recompilation_after_each_size_was_seen():
    graphs = [tiny.graph(seed, residues=(3 + seed % 5, 2)) for seed in range(12)]
    largest = protein.BatchSize(edges=240, nodes=60, graphs=5, chains=10)
    sizes = protein.batch_sizes(largest, count=3)
    model = tiny.network(num_layers=1)
    variables = tiny.variables(model)
    step = jax.jit(model.apply)
    for graph_list in [graphs, graphs[::-1], graphs[::2]]:
        for packed in protein.pack_graphs(graph_list, largest):
            step(variables, protein.batch_graphs(packed, sizes))
    assert step._cache_size() <= len(sizes)


def num_parameters(encoder, tasks):
    """Counts parameters without making them."""
    config = protein.ProteinConfig(encoder, tasks)
    graph = tiny.graph(embedding_size=encoder.embedding_size)
    shapes = jax.eval_shape(protein.ProteinNetwork(config).init, jax.random.key(0), tiny.batch(graph))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 59_818_759), (dict(embedding_size=1280), 60_186_375), (dict(num_channels=1), 59_798_791)],
    ids=["full atom", "with ESM", "alpha-carbons"],
)
def test_parameters_of_the_published_models(settings, expected):
    """The authors' heads for the Gene Ontology have one output more than there are terms, each."""
    sizes = {"go_mf": 490, "go_bp": 1944, "go_cc": 321}
    tasks = tuple(
        protein.Task(task.name, task.level, task.kind, sizes.get(task.name, task.size))
        for task in protein.PROTEIN_MT_TASKS
    )
    assert num_parameters(protein.HemenetConfig(**settings), tasks) == expected


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="a number has size 1, but task 'x' has 3"):
        protein.Task("x", "graph", size=3)
    with pytest.raises(ValueError, match="two tasks have one name"):
        protein.ProteinConfig(tasks=(tiny.TASKS[0], tiny.TASKS[0]))
    with pytest.raises(ValueError, match="at least one task"):
        protein.ProteinConfig(tasks=())
