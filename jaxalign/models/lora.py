"""Low-rank adaptation of any model: LoRA, rsLoRA and DoRA as functions of parameter trees.

A linear map ``W [*inputs, *outputs]`` becomes ``W + scale * A B`` with ``A [*inputs, rank]`` random and
``B [rank, *outputs]`` zero at the start; maps of the layers have the stacked layer axis in front of all three. DoRA
learns the norm of each output's weights apart, as its magnitude: ``magnitude * (W + scale * A B) / |W + scale * A B|``.

An adapter is a tree like the parameters, with ``query_lora_a``, ``query_lora_b`` and, for DoRA, ``query_magnitude`` in
the place of ``query``, and with those parameters that are fully trained. :func:`apply_lora` lays it beside the base,
which stays as it is: no map is copied, no gradient is made for the base, and the base is at the same time the reference
policy. :func:`merge_lora` adds it in, for export and for generation.

Maps may differ in rank and alpha, and layers too: factors are as wide as the highest rank of a map's layers, and what
is beyond a layer's own rank takes no part. A tied embedding that is trained stays the output matrix; with
``ensure_weight_tying=False``, as in PEFT by default, what is trained of the two leaves the other as it was, and the
adapted parameters have an output matrix of their own.

Training needs nothing else, for instance::

    config = models.LoraConfig(rank=16, alpha=32.0)
    step = training.make_train_step(models.lora_loss(loss_fn, params, config), optimizer)
    state = training.init_state(models.init_lora(key, params, config), optimizer)

Departures: there is no dropout on the adapter's input. Token embeddings have no low-rank form here.

Sources: LoRA (arXiv 2106.09685), rsLoRA (arXiv 2312.03732), DoRA (arXiv 2402.09353).
"""

import functools
import math
from collections.abc import Iterable

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxalign import numerics
from jaxalign.models.axes import is_stacked, split_shape
from jaxalign.models.lora_config import LoraConfig, match_modules, within
from jaxalign.models.quantization import dequantize_base, to_float32
from jaxalign.typing import LossFn, Params


def init_lora(key: PRNGKeyArray, params: Params, config: LoraConfig) -> Params:
    """Makes an adapter that changes nothing yet: A is random, B is zero.

    A is uniform within ``1 / sqrt(inputs)``, as in the authors' code and in PEFT, so that learning rates carry over.

    Args:
      key: draws A.
      params: the base's parameters, in float32 or bfloat16, or with the maps that ``models.quantize_base`` made.
      config: which parameters are adapted, and how.

    Returns:
      A tree like the parameters, float32: the factors of each adapted map, and a copy of each fully trained parameter.

    Raises:
      ValueError: a name of ``target_modules`` is no linear map of the model, or a name of ``modules_to_save`` is no
        parameter of it.
    """
    leaves = _base(params, config)
    targets, saved = match_modules(leaves, config)
    adapter = {path: leaves[path].astype(jnp.float32) for path in saved}
    for path, map_key in zip(targets, jax.random.split(key, len(targets)), strict=True):
        stack, inputs, outputs = split_shape(path, leaves[path].shape)
        bound = 1 / math.sqrt(math.prod(inputs))
        there, rank = within(config.ranks(path, stack)), config.scales(path, stack).shape[-1]
        first = jax.random.uniform(map_key, (*stack, *inputs, rank), minval=-bound, maxval=bound)
        adapter[f"{path}_lora_a"] = first * np.expand_dims(there, tuple(range(len(stack), len(stack) + len(inputs))))
        adapter[f"{path}_lora_b"] = jnp.zeros((*stack, rank, *outputs))
        if config.dora:
            adapter[f"{path}_magnitude"] = _norm(path, leaves[path], adapter, config)
    return _unflatten(adapter)


def apply_lora(params: Params, adapter: Params, config: LoraConfig) -> Params:
    """Returns parameters of the adapted model, for every function of parameters and under ``jax.grad``.

    Factors lie beside the maps of the layers, where :func:`jaxalign.models.layers.project` finds them: memory and time
    beyond the base's are those of the factors. A map outside the layers is replaced by the sum.

    Args:
      params: the base's parameters, in float32 or bfloat16, or with the maps that ``models.quantize_base`` made.
      adapter: what ``models.init_lora`` made or :func:`jaxalign.io.hf.load_adapter` read.
      config: the one that the adapter was made with.

    Raises:
      ValueError: the adapter is of another model, or of another ``config``.
    """
    leaves, factors = _base(params, config), _flatten(adapter)
    _check_adapter(leaves, factors, config)
    for path in adapted(factors):
        if is_stacked(path):
            leaves[f"{path}_lora_a"] = factors[f"{path}_lora_a"]
            leaves[f"{path}_lora_b"] = _scaled(path, leaves[path].shape, factors, config)
            if config.dora:
                leaves[f"{path}_gain"] = _gain(path, leaves[path], factors, config)
        else:
            leaves[path] = _merged(path, leaves[path], factors, config)
    return _unflatten(leaves | _saved(factors))


def merge_lora(params: Params, adapter: Params, config: LoraConfig) -> Params:
    """Returns parameters of the adapted model in the form of the base's, with the adapter added in.

    Each keeps its dtype, but a sum with a quantised map is float32: quantised again, it would lose what the adapter has
    learned.

    Args:
      params: the base's parameters, in float32 or bfloat16, or with the maps that ``models.quantize_base`` made.
      adapter: what ``models.init_lora`` made or :func:`jaxalign.io.hf.load_adapter` read.
      config: the one that the adapter was made with.

    Raises:
      ValueError: the adapter is of another model, or of another ``config``.
    """
    leaves, factors = _base(dequantize_base(params), config), _flatten(adapter)
    _check_adapter(leaves, factors, config)
    merged = {path: _merged(path, leaves[path], factors, config) for path in adapted(factors)}
    saved = {path: leaf.astype(leaves[path].dtype) for path, leaf in _saved(factors).items()}
    return _unflatten(leaves | merged | saved)


def lora_loss(loss_fn: LossFn, params: Params, config: LoraConfig) -> LossFn:
    """Makes a loss of the adapter out of a loss of parameters, for :func:`jaxalign.training.make_train_step`.

    The base is bound to it by ``jax.tree_util.Partial``, so that it is an argument of the compiled step, not a constant
    in it. On a mesh, place it first: ``sharding.place(params, sharding.param_shardings(params, mesh, rules))``. A loss
    that needs the base as reference policy is written in the same way, ``Partial(loss, params)`` of a
    ``loss(params, adapter, batch, key)``.

    Args:
      loss_fn: ``loss_fn(params, batch, key) -> (loss, metrics)``.
      params: the base's parameters, in float32 or bfloat16, or with the maps that ``models.quantize_base`` made.
      config: which parameters the adapter changes, and how.

    Returns:
      ``loss(adapter, batch, key) -> (loss, metrics)``: ``loss_fn`` of the adapted model.
    """

    # Bound and not closed over: what is bound to loss_fn itself stays in sight of whoever compiles the loss.
    return jax.tree_util.Partial(functools.partial(_adapted_loss, loss_fn, config), params)


def _adapted_loss(loss_fn: LossFn, config: LoraConfig, params: Params, adapter: Params, batch, key):
    return loss_fn(apply_lora(params, adapter, config), batch, key)


def adapted(paths: Iterable[str]) -> list[str]:
    """The paths of the maps that an adapter with these paths has factors for."""
    return [path.removesuffix("_lora_a") for path in paths if path.endswith("_lora_a")]


def _merged(path, leaf, factors, config):
    first, second = _matrices(path, leaf.shape, factors, config)
    total = to_float32(leaf) + (first @ second).reshape(leaf.shape)
    if config.dora:
        stack, inputs, _ = split_shape(path, leaf.shape)
        axes = tuple(range(len(stack), len(stack) + len(inputs)))
        total = total * jnp.expand_dims(_gain(path, leaf, factors, config), axes)
    return total.astype(leaf.dtype)


def _gain(path, leaf, factors, config):
    """DoRA's factor of each output. As in the paper's section 4.3 the norm carries no gradient."""
    norm = jax.lax.stop_gradient(_norm(path, leaf, factors, config))
    return numerics.safe_divide(factors[f"{path}_magnitude"], norm)


def _norm(path, leaf, factors, config):
    """``|W + scale * A B|`` over the inputs, from products of low rank: the sum is never made."""
    stack, _, outputs = split_shape(path, leaf.shape)
    return _norms(leaf, *_matrices(path, leaf.shape, factors, config)).reshape(*stack, *outputs)


@jax.jit  # outside a compiled program, maps of equal shapes share theirs
def _norms(leaf, first, second):
    def norm(arrays):
        leaf, first, second = arrays
        matrix = to_float32(leaf).reshape(first.shape[0], second.shape[1])
        exact = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
        products = 2 * exact(first.T, matrix) + exact(exact(first.T, first), second)
        squared = jnp.sum(matrix**2, axis=0) + jnp.sum(second * products, axis=0)
        return jnp.sqrt(jnp.maximum(squared, 0))

    arrays = leaf, first, second
    return norm(arrays) if first.ndim == 2 else jax.lax.map(norm, arrays)  # layer by layer


def _matrices(path, shape, factors, config):
    """A ``[*stack, inputs, rank]`` and ``scale * B [*stack, rank, outputs]``, with flat inputs and outputs."""
    stack, inputs, outputs = split_shape(path, shape)
    first = factors[f"{path}_lora_a"].reshape(*stack, math.prod(inputs), -1)
    return first, _scaled(path, shape, factors, config).reshape(*stack, first.shape[-1], math.prod(outputs))


def _scaled(path, shape, factors, config):
    """``scale * B``."""
    stack, _, outputs = split_shape(path, shape)
    scales = config.scales(path, stack)
    return factors[f"{path}_lora_b"] * scales.reshape(*scales.shape, *[1] * len(outputs))


def _base(params, config):
    """The base's parameters by path, with an output matrix where the adapter takes it and the embedding for two."""
    leaves = _flatten(params)
    if not config.ensure_weight_tying and "embedding" in leaves:
        leaves.setdefault("unembedding", leaves["embedding"].T)
    return leaves


def _saved(factors):
    """The parameters of an adapter that replace the base's."""
    ends = ("_lora_a", "_lora_b", "_magnitude")
    return {path: leaf for path, leaf in factors.items() if not path.endswith(ends)}


def _check_adapter(leaves, factors, config):
    """What is of another model would be laid beside nothing and change nothing, another rank would scale wrongly."""
    maps = adapted(factors)
    strange = [path for path in [*maps, *_saved(factors)] if path not in leaves]
    if strange:
        raise ValueError(f"the adapter changes {', '.join(strange)}, which the model lacks; it has {', '.join(leaves)}")
    for path in maps:
        rank, dora = factors[f"{path}_lora_a"].shape[-1], f"{path}_magnitude" in factors
        expected = config.ranks(path, split_shape(path, leaves[path].shape)[0]).max()
        if (rank, dora) != (expected, config.dora):
            raise ValueError(
                f"the adapter of {path} has rank {rank} and dora={dora}, the LoraConfig rank {expected} and "
                f"dora={config.dora}; pass the LoraConfig that it was made with"
            )


def _flatten(tree):
    return flax.traverse_util.flatten_dict(tree, sep="/")


def _unflatten(leaves):
    return flax.traverse_util.unflatten_dict(leaves, sep="/")
