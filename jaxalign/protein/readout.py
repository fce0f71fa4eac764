"""What tasks read from the nodes of their graph or chain: attention with one learnt query a task, and a head.

With a learnt prompt p for each task, features x of the nodes of one segment (a graph or a chain), eight heads:

    q = Q p,  a = attention of q over K x and V x
    c = LayerNorm(a + (u.p + u0) q),  out = LayerNorm(MLP(c) + (v.p + v0) c)

Nodes beyond the segment and padding have no weight, so that an output does not depend on what else is in the batch; the
authors' code pads chains without a mask. Source: HeMeNet (arXiv 2404.01693), Section "task-aware readout".
"""

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.protein import segments
from jaxalign.protein.batches import GraphBatch
from jaxalign.protein.config import ProteinConfig, Task

_EPSILON = 1e-12  # of the layer norms, as in the authors' code


class TaskReadout(nn.Module):
    """Attention of tasks over the nodes of a segment: ``[segments, tasks, D]`` from features ``[N, D]``.

    Attributes:
      num_tasks: each has a learnt query.
      num_heads: of the attention; they divide D.

    Source: HeMeNet (arXiv 2404.01693), Section "task-aware readout".
    """

    num_tasks: int
    num_heads: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "n d"], ids: Int[Array, "n"], num_segments: int, where: Bool[Array, "n"]
    ) -> Float[Array, "segments tasks d"]:
        width = features.shape[-1]
        prompts = self.param("prompts", nn.initializers.normal(1.0), (self.num_tasks, width))
        queries = nn.Dense(width, name="query")(prompts)
        keys, values = (nn.Dense(width, name=name)(features) for name in ("key", "value"))
        context = self._attend(queries, keys, values, ids, num_segments, where)
        first, second = (nn.Dense(1, name=name)(prompts) for name in ("first_gate", "second_gate"))
        hidden = nn.LayerNorm(epsilon=_EPSILON, name="first_norm")(context + (first * queries)[None])
        mixed = nn.Dense(width, name="mlp_1")(nn.relu(nn.Dense(width, name="mlp_0")(hidden)))
        return nn.LayerNorm(epsilon=_EPSILON, name="second_norm")(mixed + second[None] * hidden)

    def _attend(self, queries, keys, values, ids, num_segments, where):
        split = lambda x: x.reshape(len(x), self.num_heads, -1)  # noqa: E731
        queries, keys, values = map(split, (queries, keys, values))
        logits = jnp.einsum("thd,nhd->nth", queries, keys) / jnp.sqrt(queries.shape[-1]).astype(keys.dtype)
        weights = segments.segment_softmax(logits, ids, num_segments, where)
        context = segments.segment_sum(jnp.einsum("nth,nhd->nthd", weights, values), ids, num_segments, where)
        return context.reshape(num_segments, len(queries), -1)


class MeanReadout(nn.Module):
    """The mean of a segment's nodes, the same for every task, ``[segments, tasks, D]``: the ablation of attention.

    Attributes:
      num_tasks: how many times it is repeated.
    """

    num_tasks: int

    def __call__(self, features, ids, num_segments: int, where) -> Float[Array, "segments tasks d"]:
        mean = segments.segment_mean(features, ids, num_segments, where)
        return jnp.broadcast_to(mean[:, None], (num_segments, self.num_tasks, mean.shape[-1]))


class Readouts(nn.Module):
    """Predictions by task: ``[G]`` or ``[chains]`` for a number, ``[chains, size]`` logits for classes."""

    config: ProteinConfig

    @nn.compact
    def __call__(self, features: Float[Array, "n d"], batch: GraphBatch) -> Mapping[str, Array]:
        read = {
            "graph": (batch.graph_ids, len(batch.graph_mask), batch.node_mask),
            "chain": (batch.chain_ids, len(batch.chain_mask), batch.node_mask & (batch.chain_ids >= 0)),
        }
        outputs = {}
        for level, segment in read.items():
            tasks = self.config.of_level(level)
            if not tasks:
                continue
            if self.config.task_aware:
                readout = TaskReadout(len(tasks), self.config.num_heads, name=f"{level}_readout")
            else:
                readout = MeanReadout(len(tasks))
            of_tasks = readout(features, *segment)
            for number, task in enumerate(tasks):
                outputs[task.name] = Head(task, name=f"{task.name}_head")(of_tasks[:, number])
        return outputs


class Head(nn.Module):
    """A hidden layer, then the output."""

    task: Task

    @nn.compact
    def __call__(self, features: Float[Array, "segments d"]) -> Array:
        hidden = nn.silu(nn.Dense(features.shape[-1], name="hidden")(features))
        output = nn.Dense(self.task.size, name="output")(hidden)
        return output[:, 0] if self.task.kind == "number" else output
