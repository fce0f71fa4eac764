"""A protein network: an encoder of graphs, and what tasks read from it.

    model = protein.ProteinNetwork(protein.ProteinConfig())
    variables = model.init(jax.random.key(0), batch)
    outputs = model.apply(variables, batch)      # {"lba": [G], ..., "go_cc": [chains, 320]}
    outputs, updates = model.apply(variables, batch, train=True, rngs={"dropout": key}, mutable=["batch_stats"])

``variables`` has the collections ``params`` and ``batch_stats``. Batch norms use the batch at hand in training, and
those statistics elsewhere. ``updates`` has the statistics of this batch; those of many are from
:func:`~jaxalign.protein.population_statistics`.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxalign.protein.batches import GraphBatch
from jaxalign.protein.config import HemenetConfig, ProteinConfig, TensorFieldConfig
from jaxalign.protein.hemenet import Encoded, Hemenet
from jaxalign.protein.readout import Readouts
from jaxalign.protein.tensor_field import TensorField

ENCODERS = {HemenetConfig: Hemenet, TensorFieldConfig: TensorField}
"""Encoders by config: modules with ``encoder(batch, train=...) -> Encoded``."""


class ProteinNetwork(nn.Module):
    """A network that predicts by task from a batch of graphs: an encoder, and a readout with a head for each task.

    Attributes:
      config: of the encoder and the tasks.
    """

    config: ProteinConfig

    def setup(self):
        self.encoder = ENCODERS[type(self.config.encoder)](self.config.encoder)
        self.readouts = Readouts(self.config)

    def __call__(self, batch: GraphBatch, *, train: bool = False) -> Mapping[str, Array]:
        batch = jax.tree.map(jnp.asarray, batch)
        return self.readouts(self.encoder(batch, train=train).features, batch)

    def encode(self, batch: GraphBatch, *, train: bool = False) -> Encoded:
        """Returns features and coordinates of nodes."""
        return self.encoder(jax.tree.map(jnp.asarray, batch), train=train)
