"""Tiny models that together turn on every option, for tests of models and sampling."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import models
from jaxalign.typing import ListBatch

PLAIN = models.DecoderConfig(
    vocab_size=61, width=16, mlp_width=32, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=4, rope_base=100.0
)
MIXED = dataclasses.replace(
    PLAIN,
    num_layers=3,
    window=4,
    windowed_layers=(True, False, True),
    local_rope_base=10.0,
    qk_norm=True,
    post_norms=True,
    norm_unit_offset=True,
    attention_softcap=2.0,
    logit_softcap=3.0,
    query_scale=0.7,
    embedding_scale=True,
    tied_embeddings=True,
    activation="gelu_tanh",
)
BIASED = dataclasses.replace(
    PLAIN,
    window=3,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    rope_scaling=models.RopeScaling("llama3", factor=8.0, original_max_length=16),
)
ENCODER = models.EncoderConfig(
    vocab_size=61, width=16, mlp_width=32, num_layers=2, num_heads=4, max_length=32, pooler=True, norm_epsilon=1e-6
)
V1_0 = models.EncoderDecoderConfig(
    vocab_size=61,
    width=16,
    mlp_width=32,
    num_layers=3,
    num_decoder_layers=2,
    num_heads=4,
    head_dim=6,
    num_buckets=8,
    max_distance=6,  # within a row of a dozen tokens
    start_id=2,
)
V1_1 = dataclasses.replace(
    V1_0, activation="gelu_tanh", gated_mlp=True, tied_embeddings=False, output_scale=False, norm_epsilon=1e-3
)
ENCODER_DECODERS = {"v1.0": V1_0, "v1.1": V1_1}
CONFIGS = {"plain": PLAIN, "mixed": MIXED, "biased": BIASED}


@functools.partial(jax.jit, static_argnums=0)
def forward(model, params, tokens, **options):
    """``model.apply``, compiled: op by op, a layer's dozens of primitives would each compile for every shape."""
    return model.apply({"params": params}, tokens, **options)


@functools.partial(jax.jit, static_argnums=0)
def states(decoder, params, tokens):
    """The hidden states of a decoder, compiled; rows are padded on the right, which no token sees."""
    return decoder.apply({"params": params}, tokens, method="hidden")


def init(config, seed=0):
    """A model and parameters that are random everywhere, norms and biases included, drawn by NumPy: no compilation."""
    model = models.build(config)
    rng = np.random.default_rng(seed)
    unit_offset = getattr(getattr(config, "backbone", config), "norm_unit_offset", False)

    def draw(path, leaf):
        centre = 1.0 if path[-1].key == "scale" and not unit_offset else 0.0
        return (centre + 0.3 * rng.standard_normal(leaf.shape)).astype(np.float32)

    # jnp.asarray would compile a program for each shape.
    return model, jax.device_put(jax.tree.map_with_path(draw, shapes(config)))


@functools.cache
def shapes(config):
    """The shapes of the parameters, without making them."""
    return jax.eval_shape(models.build(config).init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"]


def scores_and_gradient(scores_fn, model, params, batch, weights, shared_prompt=True):
    """Scores of lists, and the gradient of their weighted sum: one program for all tests of equal shapes."""
    return compiled_scores_and_gradient(scores_fn, model, shared_prompt, params, batch, weights)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def compiled_scores_and_gradient(scores_fn, model, shared_prompt, params, batch, weights):
    def weighted(params):
        scores = scores_fn(model, params, batch, shared_prompt=shared_prompt)
        return (scores * weights).sum(), scores

    gradient, scores = jax.grad(weighted, has_aux=True)(params)
    return scores, gradient


def list_batch(vocab_size, *, b=2, k=3, p=7, r=5, left_padded=False, seed=0):
    """Ragged lists: prompts of unlike length, responses of 1 to r tokens, the last slot of the last list invalid."""
    rng = np.random.default_rng(seed)
    prompt_mask = np.arange(p)[None] < np.arange(p, 0, -3)[:b, None]
    lengths = rng.integers(1, r + 1, (b, k, 1))
    where = np.ones((b, k), bool)
    where[-1, -1] = False
    batch = ListBatch(
        prompt_tokens=rng.integers(0, vocab_size, (b, p), np.int32),
        prompt_mask=prompt_mask[:, ::-1] if left_padded else prompt_mask,
        response_tokens=rng.integers(0, vocab_size, (b, k, r), np.int32),
        response_mask=np.arange(r)[None, None] < lengths,
        labels=rng.uniform(size=(b, k)).astype(np.float32),
        where=where,
        reference_logps=np.zeros((b, k), np.float32),
    )
    return jax.device_put(batch)
