"""Log-probabilities of tokens and their cross-entropy, without the ``[..., vocabulary]`` array of logits.

The vocabulary is visited in blocks: forward keeps a running log-sum-exp, backward computes each block's logits again.
Both hold one ``[tokens, block_size]`` block at a time. Products take the inputs' dtype, sums are float32.

On a mesh that splits the vocabulary, each device visits its own columns, and what devices exchange has the size of
``targets`` (forward) and of ``hidden`` (backward): no logits, and no columns.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from jaxalign import numerics, sharding
from jaxalign.typing import ReduceFn

# On CPU at N = 1,024, D = 128, V = 65,536, blocks of 512 to 8,192 columns took times within 8 % of each other.
BLOCK_SIZE = 2048


class _Plan(NamedTuple):
    """What does not change while a program runs."""

    softcap: float | None
    block_size: int
    axes: tuple[str, ...]  # of the mesh, that split the vocabulary


def token_logps(
    hidden: Float[Array, "*batch D"],
    unembedding: Float[Array, "D V"],
    targets: Int[Array, "*batch"],
    *,
    logit_softcap: float | None = None,
    block_size: int = BLOCK_SIZE,
) -> Float[Array, "*batch"]:
    """Computes ``log softmax(cap(hidden @ unembedding))[target]``, the log-probability of each target.

    Args:
      hidden: ``[..., D]``, the state that predicts each target.
      unembedding: ``[D, V]``, the output matrix, of the same dtype as ``hidden``.
      targets: ``[...]``, token ids in ``[0, V)``; a target outside gets an unspecified finite value.
      logit_softcap: logits become ``cap * tanh(logits / cap)``; None leaves them.
      block_size: columns of the vocabulary held at once; memory grows with it.

    Returns:
      ``[...]``, nats, float32.
    """
    shards = sharding.num_shards("vocab")
    shards = 1 if unembedding.shape[1] % shards else shards
    axes = sharding.mesh_axes("vocab") if shards > 1 else ()
    plan = _Plan(logit_softcap, min(block_size, unembedding.shape[1] // shards), axes)
    return _token_logps(hidden, unembedding, targets, plan)


def cross_entropy_loss(
    hidden: Float[Array, "*batch D"],
    unembedding: Float[Array, "D V"],
    targets: Int[Array, "*batch"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    logit_softcap: float | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    """Computes the cross-entropy of next tokens, ``-log softmax(cap(hidden @ unembedding))[target]``.

    Args:
      hidden: ``[..., D]``, the state that predicts each target.
      unembedding: ``[D, V]``, the output matrix, of the same dtype as ``hidden``.
      targets: ``[...]``, token ids in ``[0, V)``; a target outside gets an unspecified finite value.
      where: ``[...]``, True for tokens that count, None for all; masked states must be finite.
      logit_softcap: logits become ``cap * tanh(logits / cap)``; None leaves them.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the tokens. The default is their mean, 0
        if no token counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, nats per token.
    """
    return reduce_fn(-token_logps(hidden, unembedding, targets, logit_softcap=logit_softcap), where=where)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _token_logps(hidden, unembedding, targets, plan):
    return _forward(hidden, unembedding, targets, plan)[0]


def _forward(hidden, unembedding, targets, plan):
    replicated, columns = PartitionSpec(), PartitionSpec(None, plan.axes)
    in_specs, out_specs = (replicated, columns, replicated), (replicated, replicated)
    shard_fn = _on_shards(_shard_forward, plan, in_specs, out_specs)
    logits, log_total = shard_fn(hidden, unembedding, targets)
    return logits - log_total, (hidden, unembedding, targets, log_total)


def _backward(plan, residuals, cotangent):
    replicated, columns = PartitionSpec(), PartitionSpec(None, plan.axes)
    in_specs = replicated, columns, replicated, replicated, replicated
    shard_fn = _on_shards(_shard_backward, plan, in_specs, (replicated, columns))
    to_hidden, to_unembedding = shard_fn(*residuals, cotangent)
    return to_hidden.astype(residuals[0].dtype), to_unembedding.astype(residuals[1].dtype), None


_token_logps.defvjp(_forward, _backward)


def _on_shards(shard_fn: Callable, plan: _Plan, in_specs, out_specs) -> Callable:
    """``shard_fn(plan, ...)`` on each device's columns. Rows stay as the compiler has laid them out."""
    shard_fn = functools.partial(shard_fn, plan)
    if not plan.axes:
        return shard_fn
    return jax.shard_map(shard_fn, in_specs=in_specs, out_specs=out_specs, axis_names=set(plan.axes), check_vma=False)


def _shard_forward(plan, hidden, unembedding, targets):
    """The target's logit and the logarithm of the sum of all exponentials, both ``[*batch]``."""

    def visit(start, size, carry):
        highest, total = carry
        logits = _logits(hidden, _columns(unembedding, start, size), plan)
        higher = jnp.maximum(highest, logits.max(axis=-1))
        return higher, total * jnp.exp(highest - higher) + jnp.exp(logits - higher[..., None]).sum(axis=-1)

    start = jnp.full(targets.shape, jnp.finfo(jnp.float32).min), jnp.zeros(targets.shape, jnp.float32)
    highest, total = _over_blocks(visit, start, unembedding.shape[1], plan)
    logits, _, _ = _target_logits(hidden, unembedding, targets, plan)
    if plan.axes:
        everywhere = jax.lax.pmax(highest, plan.axes)
        total = jax.lax.psum(total * jnp.exp(highest - everywhere), plan.axes)
        highest, logits = everywhere, jax.lax.psum(logits, plan.axes)
    return logits, highest + jnp.log(total)


def _shard_backward(plan, hidden, unembedding, targets, log_total, cotangent):
    """The cotangents of ``hidden`` and of this shard's columns, float32."""
    batch = tuple(range(targets.ndim))

    def slopes(logits, of_capped):
        """Through the cap, in the dtype that is multiplied."""
        slope = of_capped if plan.softcap is None else of_capped * (1 - (logits / plan.softcap) ** 2)
        return slope.astype(hidden.dtype)

    def visit(start, size, carry):
        to_hidden, to_unembedding = carry
        columns = _columns(unembedding, start, size)
        logits = _logits(hidden, columns, plan)
        slope = slopes(logits, jnp.exp(logits - log_total[..., None]) * -cotangent[..., None])
        to_hidden = to_hidden + jnp.matmul(slope, columns.T, preferred_element_type=jnp.float32)
        part = jax.lax.dot_general(hidden, slope, ((batch, batch), ((), ())), preferred_element_type=jnp.float32)
        return to_hidden, jax.lax.dynamic_update_slice_in_dim(to_unembedding, part, start, axis=1)

    zeros = jnp.zeros(hidden.shape, jnp.float32), jnp.zeros(unembedding.shape, jnp.float32)
    to_hidden, to_unembedding = _over_blocks(visit, zeros, unembedding.shape[1], plan)
    logits, columns, places = _target_logits(hidden, unembedding, targets, plan)
    slope = slopes(logits, cotangent)[..., None].astype(jnp.float32)
    here = (places < unembedding.shape[1])[..., None]
    to_hidden = to_hidden + jnp.where(here, slope * jnp.moveaxis(columns, 0, -1).astype(jnp.float32), 0)
    parts = jnp.moveaxis(slope * hidden.astype(jnp.float32), -1, 0)
    to_unembedding = to_unembedding.at[:, places].add(parts, mode="drop")
    return (jax.lax.psum(to_hidden, plan.axes) if plan.axes else to_hidden), to_unembedding


def _over_blocks(visit, carry, vocab_size, plan):
    """``carry = visit(start, size, carry)`` for each block of columns; the last one may be smaller."""
    size = plan.block_size
    count, rest = divmod(vocab_size, size)
    carry = jax.lax.fori_loop(0, count, lambda index, carry: visit(index * size, size, carry), carry)
    return visit(count * size, rest, carry) if rest else carry


def _columns(unembedding, start, size):
    return jax.lax.dynamic_slice_in_dim(unembedding, start, size, axis=1)


def _logits(hidden, columns, plan):
    logits = jnp.matmul(hidden, columns, preferred_element_type=jnp.float32)
    return logits if plan.softcap is None else plan.softcap * jnp.tanh(logits / plan.softcap)


def _target_logits(hidden, unembedding, targets, plan):
    """The logits of targets in this shard, ``[*batch]``, 0 for others; columns ``[D, *batch]``; their places, or V.

    Cheaper than to look for them in every block.
    """
    size = unembedding.shape[1]
    places = targets
    if plan.axes:
        places = targets - jax.lax.axis_index(plan.axes) * size
        places = jnp.where((places >= 0) & (places < size), places, size)
    columns = jnp.take(unembedding, places, axis=1, mode="clip")
    logits = jnp.einsum("...d,d...->...", hidden, columns, preferred_element_type=jnp.float32)
    logits = logits if plan.softcap is None else plan.softcap * jnp.tanh(logits / plan.softcap)
    return (jnp.where(places < size, logits, 0) if plan.axes else logits), columns, places
