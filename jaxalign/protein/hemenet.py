"""HeMeNet's encoder (arXiv 2404.01693): E(3)-equivariant messages between residues with all their atoms.

Coordinates are vectors (``1o``), everything else is invariant (``0e``). For an edge from j to i of relation r, with
``rho`` of :mod:`jaxalign.protein.relation_features`, a layer has

    message      m = SiLU(MLP([h_i, h_j, rho, e_r]))
    coordinates  X_i += mean over edges of  w_r * pool(MLP_x(m)) * (X_i - centre of X_j)
    features     h_i = LayerNorm(h_i + SiLU(BatchNorm(Linear([sum of m over edges of relation r, for each r]))))

where ``pool`` takes 14 numbers to as many as i has atoms, by means over windows. Distances are divided by the largest
one of the graph, so that features do not depend on scale.

Departures, unless ``reference_eps`` asks for the authors' numbers: centres divide by the number of atoms, not by that
and 1e-3, which moves what should move with the protein (by 1.5e-3 at 100 angstrom); the largest distance is that of the
graph's atoms, not of the batch with missing atoms at the origin, which also move there; and each graph is centred
first, because float32 has its digits around zero.
"""

from typing import NamedTuple

import e3nn_jax as e3nn
import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.protein import segments
from jaxalign.protein.batches import GraphBatch
from jaxalign.protein.config import HemenetConfig
from jaxalign.protein.relation_features import EPSILON, channel_distances, element_sums, relation_features
from jaxalign.protein.vocabulary import ELEMENT_CLASSES, NUM_TYPES

ELEMENT_ROWS = 14
"""Rows of the authors' table of elements. There are ten kinds; the other rows are never read."""


class Encoded(NamedTuple):
    """What an encoder gives.

    Attributes:
      features: of nodes, ``[N, D]``, which no rotation or translation changes.
      coordinates: of atoms, ``[N, C, 3]`` in angstrom.
    """

    features: Float[Array, "n d"]
    coordinates: Float[Array, "n c 3"]


class Hemenet(nn.Module):
    """HeMeNet's encoder: E(3)-equivariant messages between residues with all their atoms.

    The features of a node are those of every layer, joined: ``D = num_layers * width``.

    Attributes:
      config: of the layers.

    Source: HeMeNet (arXiv 2404.01693).
    """

    config: HemenetConfig

    @nn.compact
    def __call__(self, batch: GraphBatch, *, train: bool = False) -> Encoded:
        config = self.config
        batch = first_channels(batch, config.num_channels)
        elements = self.param("elements", nn.initializers.normal(1.0), (ELEMENT_ROWS, config.edge_width))
        relations = self.param("relations", nn.initializers.normal(1.0), (config.num_relations, config.edge_width))
        hidden = NodeInput(config.width, config.embedding_size, name="nodes")(batch)
        coordinates, origins = batch.coordinates, None
        if not config.reference_eps:
            coordinates, origins = centre(batch)
        vectors, outputs = e3nn.IrrepsArray("1o", coordinates), []
        for number in range(config.num_layers):
            layer = HemenetLayer(config, name=f"layer_{number}")
            hidden, vectors = layer(hidden, vectors, elements[: len(ELEMENT_CLASSES)], relations, batch, train=train)
            outputs.append(hidden)
        coordinates = vectors.array
        if origins is not None:
            coordinates = jnp.where(batch.channel_mask[..., None], coordinates + origins, 0)
        return Encoded(jnp.concatenate(outputs, axis=-1), coordinates)


class NodeInput(nn.Module):
    """Features of nodes before the first layer: of their type and, if there are any, of given embeddings.

    Residues have embeddings, and a ligand's atom a learnt one of its type. The paper has embeddings in the
    place of types; here, both are added, and parameters are as many as in the authors' code.
    """

    width: int
    embedding_size: int

    @nn.compact
    def __call__(self, batch: GraphBatch) -> Float[Array, "n width"]:
        features = nn.Embed(NUM_TYPES, self.width, embedding_init=nn.initializers.normal(1.0), name="types")(
            batch.types
        )
        if not self.embedding_size:
            return features
        given = (batch.chain_ids >= 0)[:, None]
        learnt = nn.Embed(NUM_TYPES, self.embedding_size, name="stand_ins")(batch.types)
        return features + nn.Dense(self.width, name="project")(jnp.where(given, batch.embeddings, learnt))


class HemenetLayer(nn.Module):
    """One round of messages."""

    config: HemenetConfig

    @nn.compact
    def __call__(
        self,
        hidden: Float[Array, "n width"],
        vectors: e3nn.IrrepsArray,
        elements: Float[Array, "elements f"],
        relations: Float[Array, "relations f"],
        batch: GraphBatch,
        *,
        train: bool,
    ) -> tuple[Float[Array, "n width"], e3nn.IrrepsArray]:
        config = self.config
        geometry = self._relation_features(vectors.array, elements, batch)
        kinds = batch.relations if config.heterogeneous else jnp.zeros_like(batch.relations)
        pairs = hidden[batch.receivers], hidden[batch.senders], geometry, relations[kinds]
        message = nn.Dense(config.width, name="message_0")(jnp.concatenate(pairs, axis=-1))
        message = nn.silu(nn.Dense(config.width, name="message_1")(nn.silu(message)))
        message = nn.Dropout(config.dropout, deterministic=not train)(message)
        moved = vectors + self._shift(message, vectors, kinds, batch)
        update = self._aggregate(message, kinds, batch)
        # Nodes that are padding must not count as values of the batch.
        # Momentum 0: what a training step gives back are the statistics of its batch, see population_statistics.
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.0, name="batch_norm")
        update = norm(update, mask=batch.node_mask[:, None])
        return nn.LayerNorm(epsilon=1e-5, name="layer_norm")(hidden + nn.silu(update)), moved

    def _relation_features(self, coordinates, elements, batch: GraphBatch) -> Float[Array, "e f"]:
        config, ends = self.config, (batch.receivers, batch.senders)
        first, second = (batch.channel_mask[end] for end in ends)
        where = first[:, :, None] & second[:, None, :] & batch.edge_mask[:, None, None]
        counted = jnp.ones_like(where) if config.reference_eps else where
        distances = channel_distances(*(coordinates[end] for end in ends), counted)
        scaled = jnp.where(where, distances / (self._longest(distances, batch) + EPSILON), 0)
        sums = element_sums(scaled, *(batch.elements[end] for end in ends))
        shape = (config.edge_width,) * 3
        # What it multiplies has norm 1 as a whole, so that weights of 1 make features of 1.
        kernel = self.param("relation_kernel", nn.initializers.normal(1.0), shape)
        bias = self.param("relation_bias", nn.initializers.zeros, shape[:1])
        return relation_features(sums, elements, kernel, bias)

    def _longest(self, distances, batch: GraphBatch) -> Float[Array, "*e 1 1"]:
        if self.config.reference_eps:
            return distances.max(keepdims=True)
        graphs = batch.graph_ids[batch.receivers]
        of_edge = distances.max(axis=(1, 2))
        longest = segments.segment_max(of_edge, graphs, len(batch.graph_mask), batch.edge_mask)
        return longest[graphs][:, None, None]

    def _shift(self, message, vectors, kinds, batch: GraphBatch) -> e3nn.IrrepsArray:
        """How far each atom moves; the mean over all edges of the node."""
        config = self.config
        scale = nn.silu(nn.Dense(config.width, name="coordinates_0")(message))
        # Near zero at first: six layers of free moves would scatter the atoms before anything is learnt.
        small = nn.initializers.variance_scaling(1e-6, "fan_avg", "uniform")
        scale = nn.Dense(config.num_channels, use_bias=False, kernel_init=small, name="coordinates_1")(scale)
        weights = self.param("relation_weights", nn.initializers.ones, (config.num_relations,))
        mask = batch.channel_mask[batch.receivers]
        scale = pool(scale, mask) * weights[kinds][:, None]
        centres = self._centres(vectors.array, batch)[batch.senders]
        away = vectors[batch.receivers] - e3nn.IrrepsArray("1o", centres)
        if not config.reference_eps:  # missing atoms lie at the origin, and here they stay there
            scale = jnp.where(mask, scale, 0)
        move = away * scale[..., None]
        mean = segments.segment_mean(move.array, batch.receivers, len(batch.types), batch.edge_mask)
        return e3nn.IrrepsArray("1o", mean)

    def _centres(self, coordinates, batch: GraphBatch) -> Float[Array, "n 1 3"]:
        count = batch.channel_mask.sum(axis=1)[:, None, None]
        count = count + EPSILON if self.config.reference_eps else jnp.maximum(count, 1)
        total = jnp.where(batch.channel_mask[..., None], coordinates, 0).sum(axis=1, keepdims=True)
        return total / count

    def _aggregate(self, message, kinds, batch: GraphBatch) -> Float[Array, "n width"]:
        """Messages summed for each relation apart, joined, and mixed."""
        num_kinds = self.config.num_relations if self.config.heterogeneous else 1
        places, num_nodes = batch.receivers * num_kinds + kinds, len(batch.types)
        sums = segments.segment_sum(message, places, num_nodes * num_kinds, batch.edge_mask)
        return nn.Dense(self.config.width, name="mix")(sums.reshape(num_nodes, -1))


def first_channels(batch: GraphBatch, count: int) -> GraphBatch:
    """Leaves out the channels that no atom is in, where structures are alpha carbons."""
    return batch._replace(
        coordinates=batch.coordinates[:, :count],
        elements=batch.elements[:, :count],
        channel_mask=batch.channel_mask[:, :count],
    )


def centre(batch: GraphBatch) -> tuple[Float[Array, "n c 3"], Float[Array, "n 1 3"]]:
    """Coordinates around the middle of their graph, 0 for missing atoms; and that middle, for each node."""
    num_graphs, present = len(batch.graph_mask), batch.channel_mask
    total = jnp.where(present[..., None], batch.coordinates, 0).sum(axis=1)
    count = present.sum(axis=1).astype(total.dtype)[:, None]
    both = jnp.concatenate([total, count], axis=-1)
    sums = segments.segment_sum(both, batch.graph_ids, num_graphs, batch.node_mask)
    middles = sums[:, :3] / jnp.maximum(sums[:, 3:], 1)
    origins = middles[batch.graph_ids][:, None, :]
    return jnp.where(present[..., None], batch.coordinates - origins, 0), origins


def pool(scale: Float[Array, "e c"], mask: Bool[Array, "e c"]) -> Float[Array, "e c"]:
    """Returns as many numbers as a node has atoms: the mean of each window of ``c - atoms + 1`` numbers.

    >>> print(pool(jnp.array([[0.0, 1.0, 2.0, 6.0]]), jnp.array([[True, True, False, False]]))[0, :2])
    [1. 3.]
    """
    channels = scale.shape[-1]
    window = channels - jnp.maximum(mask.sum(axis=-1, keepdims=True), 1) + 1
    sums = jnp.cumsum(jnp.pad(scale, ((0, 0), (1, 0))), axis=-1)
    starts: Int[Array, "e c"] = jnp.arange(channels)[None] + jnp.zeros_like(window)
    ends = jnp.minimum(starts + window, channels)
    return (jnp.take_along_axis(sums, ends, axis=-1) - sums[:, :-1]) / window
