"""A higher-order encoder: messages of spherical harmonics up to l = 2, with parity, behind the same readout.

HeMeNet's features are functions of distances, so that a protein and its mirror image look alike, and distances lose
their scale on the way. Here nodes carry scalars, pseudoscalars, vectors, pseudovectors and second-order tensors; what a
neighbour sends is their tensor product with the spherical harmonics of the direction to it, weighted by a network of
distance and relation:

    m_ij = (h_j x Y(r_ij)) * MLP(basis(|r_ij|) x relation),   h_i = norm(h_i + gate(Linear(h_i) + Linear(mean_j m_ij)))

Positions of nodes are the centres of their atoms; where the atoms are from there, by element, are their first vectors.
The output joins scalars and pseudoscalars of all layers. A reflection turns the sign of the latter: they see chirality.

Sources: tensor field networks (arXiv 1802.08219), e3nn (arXiv 2207.09453).
"""

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.protein import segments
from jaxalign.protein.batches import GraphBatch
from jaxalign.protein.config import TensorFieldConfig
from jaxalign.protein.hemenet import Encoded, NodeInput, centre
from jaxalign.protein.vocabulary import ELEMENT_CLASSES

HARMONICS = e3nn.Irreps("0e + 1o + 2e")


class TensorField(nn.Module):
    """A higher-order encoder: messages of spherical harmonics up to l = 2, with parity; coordinates stay as they are.

    The features of a node are the scalars and pseudoscalars of every layer, joined; the latter see chirality.

    Attributes:
      config: of the layers.

    Sources: tensor field networks (arXiv 1802.08219), e3nn (arXiv 2207.09453).
    """

    config: TensorFieldConfig

    @nn.compact
    def __call__(self, batch: GraphBatch, *, train: bool = False) -> Encoded:
        config = self.config
        irreps = e3nn.Irreps(config.irreps)
        coordinates, _ = centre(batch)
        count = jnp.maximum(batch.channel_mask.sum(axis=1), 1)[:, None]
        places = coordinates.sum(axis=1) / count
        given = NodeInput(irreps.count("0e"), config.embedding_size, name="nodes")(batch)
        hidden = e3nn.concatenate([e3nn.IrrepsArray(f"{given.shape[1]}x0e", given), atom_vectors(batch, coordinates)])
        hidden = e3nn.flax.Linear(irreps, force_irreps_out=True, name="start")(hidden)
        edges = places[batch.senders] - places[batch.receivers]
        harmonics, radial = harmonics_of(edges), self._radial(edges, batch)
        outputs = []
        for number in range(config.num_layers):
            layer = TensorFieldLayer(config, name=f"layer_{number}")
            hidden = layer(hidden, harmonics, radial, batch, train=train)
            outputs += [hidden.filter(keep=kind).array for kind in ("0e", "0o")]
        return Encoded(jnp.concatenate(outputs, axis=-1), batch.coordinates)

    def _radial(self, edges, batch: GraphBatch) -> Float[Array, "e inputs"]:
        """Every relation has its own weights of the basis in the first layer."""
        config = self.config
        squared = jnp.square(edges).sum(axis=-1)
        lengths = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
        basis = e3nn.soft_one_hot_linspace(
            lengths, start=0.0, end=config.reach, number=config.num_basis, basis="gaussian", cutoff=False
        )
        relation = jax.nn.one_hot(batch.relations, config.num_relations)
        return (basis[:, :, None] * relation[:, None, :]).reshape(len(basis), -1)


class TensorFieldLayer(nn.Module):
    """One round of messages."""

    config: TensorFieldConfig

    @nn.compact
    def __call__(
        self,
        hidden: e3nn.IrrepsArray,
        harmonics: e3nn.IrrepsArray,
        radial: Float[Array, "e inputs"],
        batch: GraphBatch,
        *,
        train: bool,
    ) -> e3nn.IrrepsArray:
        irreps = e3nn.Irreps(self.config.irreps)
        wanted = [kind for _, kind in irreps]
        message = e3nn.tensor_product(hidden[batch.senders], harmonics, filter_ir_out=wanted)
        inner = nn.silu(nn.Dense(self.config.radial_width, name="radial_0")(radial))
        weights = nn.Dense(message.irreps.num_irreps, name="radial_1")(inner)
        message = message * nn.Dropout(self.config.dropout, deterministic=not train)(weights)
        mean = segments.segment_mean(message.array, batch.receivers, len(batch.types), batch.edge_mask)
        mean = e3nn.IrrepsArray(message.irreps, mean)
        gated = irreps.filter(drop=["0e", "0o"])
        # The gate takes the last scalars for gates: invariant ones, pseudoscalars being features of their own.
        opened = irreps.filter(keep=["0e", "0o"]) + e3nn.Irreps(f"{gated.num_irreps}x0e") + gated
        linear = lambda name: e3nn.flax.Linear(opened, force_irreps_out=True, name=name)  # noqa: E731
        update = e3nn.gate(linear("own")(hidden) + linear("received")(mean))
        return normalize(hidden + e3nn.flax.Linear(irreps, force_irreps_out=True, name="mix")(update))


def atom_vectors(batch: GraphBatch, coordinates: Float[Array, "n c 3"]) -> e3nn.IrrepsArray:
    """``[N, 10x1o]``: the sum of offsets from the node's centre over atoms of each element, in angstrom."""
    mask = batch.channel_mask.astype(coordinates.dtype)
    count = jnp.maximum(mask.sum(axis=1), 1)[:, None, None]
    offsets = (coordinates - coordinates.sum(axis=1, keepdims=True) / count) * mask[..., None]
    one_hot = jax.nn.one_hot(batch.elements, len(ELEMENT_CLASSES)) * mask[..., None]
    sums = jnp.einsum("nce,ncv->nev", one_hot, offsets)
    return e3nn.IrrepsArray(f"{len(ELEMENT_CLASSES)}x1o", sums.reshape(len(sums), -1))


def harmonics_of(edges: Float[Array, "e 3"]) -> e3nn.IrrepsArray:
    """Spherical harmonics of directions; those of an edge without length, a self-loop, are 0 but for l = 0."""
    squared = jnp.square(edges).sum(axis=-1, keepdims=True)
    apart = squared > 0
    unit = jnp.where(apart, edges / jnp.sqrt(jnp.where(apart, squared, 1)), 0)
    return e3nn.spherical_harmonics(HARMONICS, e3nn.IrrepsArray("1o", unit), normalize=False, normalization="component")


def normalize(values: e3nn.IrrepsArray) -> e3nn.IrrepsArray:
    """Each kind of feature divided by its root mean square over channels and components, which no rotation changes."""
    kinds = [values.array[..., part] for part in values.irreps.slices()]
    # Components of a feature are as many as channels make them: the mean over both is over channels of squared norms.
    sizes = [jnp.sqrt(jnp.square(kind).mean(axis=-1, keepdims=True) + 1e-5) for kind in kinds]
    array = jnp.concatenate([kind / size for kind, size in zip(kinds, sizes, strict=True)], axis=-1)
    return e3nn.IrrepsArray(values.irreps, array)
