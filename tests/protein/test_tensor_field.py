"""The higher-order encoder: equivariance, a sense of chirality and of scale, and independence of neighbours."""

import jax
import numpy as np
import pytest

from jaxalign import protein
from tests.protein import tiny

CONFIG = protein.TensorFieldConfig(
    num_layers=2, irreps="8x0e + 4x0o + 4x1o + 4x1e + 2x2e", num_basis=6, radial_width=8, dropout=0.0
)
SCALARS, PSEUDOSCALARS = 8, 4


@pytest.fixture(autouse=True)
def as_e3nn_has_it():
    """e3nn-jax promotes ranks on its own."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def trained():
    with jax.numpy_rank_promotion("allow"):
        model = protein.ProteinNetwork(protein.ProteinConfig(CONFIG, tiny.TASKS, 2))
        batch = tiny.batch(tiny.graph(0), tiny.graph(1, residues=(5,), ligand=0), spare=3)
        return model, tiny.variables(model), batch


def run(trained, batch):
    model, variables, _ = trained
    outputs = {name: np.asarray(value) for name, value in tiny.outputs(model, variables, batch).items()}
    np.testing.assert_array_equal(outputs.pop("coordinates"), batch.coordinates)
    features = outputs.pop("features")
    return outputs, features.reshape(len(features), CONFIG.num_layers, -1)


@pytest.mark.parametrize("moved", [{"matrix": tiny.rotation(1)}, {"shift": 100.0}], ids=["rotation", "translation"])
def test_rotation_and_translation(trained, moved):
    batch = trained[2]
    (before, features), (after, other) = run(trained, batch), run(trained, tiny.moved(batch, **moved))
    np.testing.assert_allclose(features, other, atol=1e-4)
    for name, value in before.items():
        np.testing.assert_allclose(value, after[name], atol=1e-4, err_msg=name)


def test_a_mirror_image_turns_the_sign_of_pseudoscalars(trained):
    batch = trained[2]
    (before, features), (after, other) = run(trained, batch), run(trained, tiny.moved(batch, -np.eye(3, dtype="f4")))
    np.testing.assert_allclose(features[..., :SCALARS], other[..., :SCALARS], atol=1e-4)
    np.testing.assert_allclose(features[..., SCALARS:], -other[..., SCALARS:], atol=1e-4)
    assert np.abs(features[..., SCALARS:]).max() > 0.01
    assert np.abs(before["affinity"] - after["affinity"]).max() > 1e-4


def test_scale_is_seen(trained):
    """HeMeNet's relation features are blind to it but for their epsilon."""
    batch = trained[2]
    larger = batch._replace(coordinates=batch.coordinates * np.float32(1.5))
    assert np.abs(run(trained, batch)[1] - run(trained, larger)[1]).max() > 0.05


def test_neighbours_and_padding_change_nothing(trained):
    first, second = tiny.graph(2), tiny.graph(3, residues=(5,), ligand=0)
    together, features = run(trained, tiny.batch(second, first, like=trained[2]))
    # Padding names the first graph, its first node and chain: here those of this graph, together those of the other.
    alone, single = run(trained, tiny.batch(first, like=trained[2]))
    nodes = slice(len(second.types), len(second.types) + len(first.types))
    np.testing.assert_allclose(features[nodes], single[: len(first.types)], atol=2e-5)
    np.testing.assert_allclose(together["affinity"][1], alone["affinity"][0], atol=2e-5)
    np.testing.assert_allclose(together["family"][1:3], alone["family"][:2], atol=2e-5)


def test_where_a_part_without_edges_to_others_lies_does_not_matter(trained):
    """Directions to neighbours count, not places: the centre of the graph, from which places are taken, moves too."""
    batch = trained[2]
    part = np.arange(len(batch.types)) < 7  # the first chain
    inside = part[batch.senders] == part[batch.receivers]
    assert 0 < inside[batch.edge_mask].sum() < batch.edge_mask.sum()
    batch = batch._replace(edge_mask=batch.edge_mask & inside)
    moved = np.where(part[:, None, None] & batch.channel_mask[..., None], batch.coordinates + 5, batch.coordinates)
    features, other = (run(trained, each)[1] for each in (batch, batch._replace(coordinates=moved)))
    np.testing.assert_allclose(features, other, atol=1e-4)


def test_gradients_are_finite_on_self_loops_and_coincident_nodes(trained):
    model, variables, _ = trained
    graph = tiny.graph(4)
    coordinates = graph.coordinates.copy()
    coordinates[1], coordinates[2] = coordinates[0], 0
    batch = tiny.batch(graph._replace(coordinates=coordinates), spare=2)

    def total(coordinates):
        return sum(value.sum() for value in model.apply(variables, batch._replace(coordinates=coordinates)).values())

    assert np.isfinite(jax.jit(jax.grad(total))(batch.coordinates)).all()
