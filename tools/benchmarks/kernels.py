"""The kernels in which training and decoding spend their time, each against its roofline."""

import functools
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxalign import losses, models, training
from jaxalign.models import attention
from jaxalign.models.layers import GatedMlp, embed_tokens
from tools.benchmarks import flops, roofline
from tools.benchmarks.batches import Sizes
from tools.benchmarks.measure import Table, on_accelerator, take_turns
from tools.benchmarks.roofline import Cost, boundary_bytes, size_of
from tools.hardware import Chip, peaks_of
from tools.model_shapes import MODELS

TITLE = "Kernels against their rooflines"
HEADER = ("kernel", *roofline.HEADER)
MODEL = "Qwen3-1.7B"
TOKENS = 16_384
LISTS = Sizes(lists=8, prompt=512, responses=8, response=128)
BLOCKS = (8192, 2048, 32_768)  # columns of the vocabulary that token_logps holds at once


class Kernel(NamedTuple):
    """A function, what it takes, and what it must do."""

    name: str
    fn: Callable[..., Any]
    inputs: tuple[Any, ...]
    cost: Cost
    donated: tuple[int, ...] = ()  # arguments that it may overwrite, and that its result replaces in the next call


def table(rounds: int) -> Table:
    """One row a kernel; without an accelerator, a sentence."""
    if not on_accelerator():
        return Table(TITLE, ("Not measured: matrices of this size need an accelerator.",))
    return Table(
        title=TITLE,
        notes=(
            f"Sizes of {MODEL}, {TOKENS:,} tokens, bfloat16 products, float32 parameters; lists of P = {LISTS.prompt},"
            f" K = {LISTS.responses}, R = {LISTS.response}, {LISTS.lists} of them.",
            *roofline.NOTE,
            "FLOP are products only, backward twice the forward, nothing that is computed again.",
        ),
        header=HEADER,
        rows=measured_rows(MODELS[MODEL], TOKENS, LISTS, BLOCKS, rounds, peaks_of(jax.devices()[0])),
    )


def measured_rows(
    config: models.DecoderConfig, tokens: int, lists: Sizes, blocks: tuple[int, ...], rounds: int, peaks: Chip | None
) -> Iterator[tuple[str, ...]]:
    """One row a kernel, which is made when its turn comes and gone after it."""
    makers = (
        *(functools.partial(token_logps_kernel, config, tokens, block) for block in blocks),
        functools.partial(mlp_kernel, config, tokens),
        functools.partial(projection_kernel, config, tokens),
        functools.partial(shared_attention_kernel, config, lists),
        functools.partial(prompt_attention_kernel, config, lists),
        functools.partial(embedding_kernel, config, tokens),
        functools.partial(optimizer_kernel, config),
    )
    for make in makers:
        kernel = make()
        yield (kernel.name, *roofline.cells(kernel.cost, measure(kernel, rounds), peaks))


def measure(kernel: Kernel, rounds: int) -> float:
    """Median seconds of a call."""
    program = jax.jit(kernel.fn, donate_argnums=kernel.donated).lower(*kernel.inputs).compile()
    inputs = list(kernel.inputs)

    def call():
        result = program(*inputs)
        if kernel.donated:
            inputs[: len(kernel.donated)] = result
        return result

    return statistics.median(take_turns({kernel.name: call}, rounds)[kernel.name])


def token_logps_kernel(config: models.DecoderConfig, tokens: int, block_size: int) -> Kernel:
    """Forward and backward over the vocabulary, by blocks of its columns."""
    hidden, unembedding = (
        _normal((tokens, config.width), config.dtype),
        _normal((config.width, config.vocab_size), config.dtype, 0.02),
    )
    targets = jax.random.randint(jax.random.key(2), (tokens,), 0, config.vocab_size)
    weights = jnp.ones(tokens)

    def total(hidden, unembedding, targets, weights):
        logps = losses.token_logps(
            hidden, unembedding, targets, logit_softcap=config.logit_softcap, block_size=block_size
        )
        return jnp.vdot(weights, logps)

    fn, inputs = jax.value_and_grad(total, argnums=(0, 1)), (hidden, unembedding, targets, weights)
    cost = Cost(6 * tokens * config.width * config.vocab_size, boundary_bytes(fn, *inputs))
    return Kernel(f"token_logps, forward + backward, blocks of {block_size:,}", fn, inputs, cost)


def mlp_kernel(config: models.DecoderConfig, tokens: int) -> Kernel:
    """The gated MLP of a layer, forward and backward."""
    module = GatedMlp(config)
    x = _normal((1, tokens, config.width), config.dtype)
    params = jax.jit(module.init)(jax.random.key(1), x[:, :2])
    fn = _with_gradients(lambda params, x: module.apply(params, x))
    inputs = params, x, x
    cost = Cost(18 * tokens * config.width * config.mlp_width, boundary_bytes(fn, *inputs))
    return Kernel("MLP, forward + backward", fn, inputs, cost)


def projection_kernel(config: models.DecoderConfig, tokens: int) -> Kernel:
    """Queries, keys and values of a layer, forward and backward."""
    c = config
    outputs = ((c.num_heads, c.head_dim), (c.num_kv_heads, c.head_dim), (c.num_kv_heads, c.head_dim))
    x = _normal((tokens, c.width), c.dtype)
    matrices = [_normal((c.width, *shape), "float32", 0.02) for shape in outputs]
    cotangents = [_normal((tokens, *shape), c.dtype) for shape in outputs]

    def project(matrices, x):
        return [jax.lax.dot_general(x, m.astype(c.dtype), (((1,), (0,)), ((), ()))) for m in matrices]

    fn, inputs = _with_gradients(project), (matrices, x, cotangents)
    weights = sum(m.size for m in matrices)
    return Kernel("QKV, forward + backward", fn, inputs, Cost(6 * tokens * weights, boundary_bytes(fn, *inputs)))


def shared_attention_kernel(config: models.DecoderConfig, sizes: Sizes) -> Kernel:
    """Responses over their prompt's keys and their own, in two passes of XLA, forward and backward."""
    (b, p, k, r), c = sizes, config
    query = _normal((b, k, r, c.num_heads, c.head_dim), c.dtype)
    prompt, own = ((b, p, c.num_kv_heads, c.head_dim), (b, k, r, c.num_kv_heads, c.head_dim))
    arrays = (query, _normal(prompt, c.dtype), _normal(prompt, c.dtype), _normal(own, c.dtype), _normal(own, c.dtype))
    ones, causal = jnp.ones((b, k, r, p), bool), jnp.broadcast_to(jnp.tri(r, dtype=bool), (b, k, r, r))

    def attend(arrays, masks):
        query, prompt_key, prompt_value, key, value = arrays
        return attention.shared_attention(
            query, prompt_key, prompt_value, masks[0], key, value, masks[1], scale=c.head_dim**-0.5
        )

    def with_gradients(arrays, masks, cotangent):
        result, pull = jax.vjp(lambda arrays: attend(arrays, masks), arrays)
        return result, pull(cotangent)

    inputs = arrays, (ones, causal), query
    pairs = b * k * (r * p + flops.visible_pairs(1, 1, r, None))
    # Masks follow from positions: a kernel need not read them.
    moved = boundary_bytes(with_gradients, *inputs) - size_of(inputs[1])
    cost = Cost(12 * c.num_heads * c.head_dim * pairs, moved)
    return Kernel("attention, responses to prompt and self, forward + backward", with_gradients, inputs, cost)


def prompt_attention_kernel(config: models.DecoderConfig, sizes: Sizes) -> Kernel:
    """Prompts over themselves in XLA, forward and backward."""
    (b, p, _, _), c = sizes, config
    shapes = [(b, p, heads, c.head_dim) for heads in (c.num_heads, c.num_kv_heads, c.num_kv_heads)]
    arrays = tuple(_normal(shape, c.dtype) for shape in shapes)
    causal = jnp.broadcast_to(jnp.tri(p, dtype=bool), (b, p, p))

    def with_gradients(arrays, mask, cotangent):
        result, pull = jax.vjp(lambda a: attention.attention(*a, mask, scale=c.head_dim**-0.5), arrays)
        return result, pull(cotangent)

    inputs = arrays, causal, arrays[0]
    pairs = b * flops.visible_pairs(1, 1, p, None)
    cost = Cost(12 * c.num_heads * c.head_dim * pairs, boundary_bytes(with_gradients, *inputs) - size_of(causal))
    return Kernel("attention, prompt to self, forward + backward", with_gradients, inputs, cost)


def embedding_kernel(config: models.DecoderConfig, tokens: int) -> Kernel:
    """The lookup of the tokens' rows, as a decoder does it, and the gradient of the whole table."""
    embedding = _normal((config.vocab_size, config.width), "float32", 0.02)
    ids = jax.random.randint(jax.random.key(2), (1, tokens), 0, config.vocab_size)
    cotangent = _normal((1, tokens, config.width), config.dtype)

    def with_gradients(embedding, ids, cotangent):
        result, pull = jax.vjp(lambda table: embed_tokens(table, table.astype(config.dtype), ids), embedding)
        return result, *pull(cotangent)

    inputs = embedding, ids, cotangent
    # Of the table, only the tokens' rows are read; its gradient is written whole.
    read = tokens * config.width * embedding.dtype.itemsize
    cost = Cost(0, boundary_bytes(with_gradients, *inputs) - size_of(embedding) + read)
    return Kernel("embedding lookup, forward + backward", with_gradients, inputs, cost)


def optimizer_kernel(config: models.DecoderConfig) -> Kernel:
    """AdamW with clipping on the model's parameters."""
    model, optimizer = models.build(config), training.adamw(1e-6)
    params = jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, 2), jnp.int32))["params"]
    gradients = jax.tree.map(jnp.ones_like, params)
    state = jax.jit(optimizer.init)(params)

    def update(params, state, gradients):
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    inputs = params, state, gradients
    # The norm that clips has to be known before the first update: gradients are read twice.
    cost = Cost(0, boundary_bytes(update, *inputs) + size_of(gradients))
    return Kernel("AdamW update", update, inputs, cost, donated=(0, 1))


def _with_gradients(fn: Callable) -> Callable:
    """``(params, x, cotangent) -> (result, gradients of both)``."""

    def with_gradients(params, x, cotangent):
        result, pull = jax.vjp(fn, params, x)
        return result, pull(cotangent)

    return with_gradients


def _normal(shape: tuple[int, ...], dtype: str, scale: float = 1.0):
    return (scale * jax.random.normal(jax.random.key(0), shape)).astype(dtype)
