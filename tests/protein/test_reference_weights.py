"""Parity with the authors' code on 1DIX: its weights, inputs and outputs, computed in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import protein

NUM_TASKS, NUM_HEADS = 4, 8


@pytest.fixture
def reference(shared_data):
    with np.load(shared_data / "hemenet_reference" / "1dix.npz") as file:
        return dict(file)


def weights(reference):
    return {name.removeprefix("param/"): value for name, value in reference.items() if name.startswith("param/")}


@functools.cache
def graph_of(path):
    return protein.make_graph(protein.read_structure(path))


def example(reference, shared_data, dtype):
    """The batch is made from the structure's file, not from the reference's inputs."""
    graph = graph_of(shared_data / "proteins" / "structures" / "1dix.pdb")
    edges = set(zip(graph.senders.tolist(), graph.receivers.tolist(), graph.relations.tolist(), strict=True))
    assert edges == set(map(tuple, reference["input/edges"].tolist()))
    graph = graph._replace(coordinates=graph.coordinates.astype(dtype))
    return jax.tree.map(jnp.asarray, protein.batch_graphs([graph], [protein.size_of([graph])]))


def forward(reference, dtype, **changes):
    """Makes a function of coordinates and a batch: the loss of the reference, and what encoder and readout give."""
    config, variables = protein.from_reference(weights(reference))
    config = type(config)(**vars(config) | changes)
    encoder, readout = protein.Hemenet(config), protein.TaskReadout(NUM_TASKS, NUM_HEADS)
    variables, of_readout = jax.tree.map(
        lambda x: x.astype(dtype), (variables, protein.readout_from_reference(weights(reference)))
    )

    def loss_fn(coordinates, batch):
        encoded = encoder.apply(variables, batch._replace(coordinates=coordinates))
        read = readout.apply(of_readout, encoded.features, batch.graph_ids, 1, batch.node_mask)[0]
        loss = jnp.square(encoded.features).mean() + jnp.square(read).mean()
        return loss, {"node_features": encoded.features, "coordinates": encoded.coordinates, "readout": read}

    return loss_fn


def test_float64(reference, shared_data, float64):
    batch = example(reference, shared_data, np.float64)
    loss_fn = jax.jit(jax.value_and_grad(forward(reference, np.float64), has_aux=True))
    (loss, ours), gradient = loss_fn(batch.coordinates, batch)
    ours |= {"loss": loss, "coordinate_gradient": gradient}
    theirs = {name: reference[f"output/{name}"] for name in ours}
    theirs["readout"] = theirs["readout"][:, 0]
    np.testing.assert_allclose(ours["node_features"], theirs["node_features"], rtol=0, atol=1e-11)
    np.testing.assert_allclose(ours["readout"], theirs["readout"], rtol=0, atol=1e-11)
    # Missing atoms included, which move in the authors' code.
    np.testing.assert_allclose(ours["coordinates"], theirs["coordinates"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-12)
    # Layer norms leave almost nothing of this loss's slope (3e-13 at most), and what they leave agrees.
    scale = np.abs(theirs["coordinate_gradient"]).max()
    np.testing.assert_allclose(ours["coordinate_gradient"], theirs["coordinate_gradient"], rtol=0, atol=1e-6 * scale)


def test_float32(reference, shared_data):
    batch = example(reference, shared_data, np.float32)
    _, ours = jax.jit(forward(reference, np.float32))(batch.coordinates, batch)
    np.testing.assert_allclose(ours["node_features"], reference["output/node_features"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours["readout"], reference["output/readout"][:, 0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours["coordinates"], reference["output/coordinates"], rtol=0, atol=1e-4)


def test_the_clean_form_is_near_and_not_the_same(reference, shared_data, float64):
    """What the departures change here: a thousandth of an atom's share in each centre."""
    batch = example(reference, shared_data, np.float64)
    _, clean = jax.jit(forward(reference, np.float64, reference_eps=False))(batch.coordinates, batch)
    difference = np.abs(clean["node_features"] - reference["output/node_features"]).max()
    assert 1e-9 < difference < 1e-2
    apart = np.abs(clean["coordinates"] - reference["output/coordinates"])[np.asarray(batch.channel_mask)].max()
    assert 1e-5 < apart < 0.1


def test_missing_and_unknown_arrays_are_named(reference):
    arrays = weights(reference)
    with pytest.raises(ValueError, match="no parameter takes: layer0/surplus"):
        protein.from_reference(arrays | {"layer0/surplus": np.zeros(1)})
    del arrays["layer1/w_r"]
    with pytest.raises(ValueError, match="no array 'layer1/w_r'|no parameter takes: layer2"):
        protein.from_reference(arrays)
