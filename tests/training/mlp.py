"""A small residual network with stacked layers and every kind of parameter name, for the tests of this folder."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import numerics, sharding

ROWS, VOCAB, WIDTH, HIDDEN, LAYERS = 32, 16, 16, 32, 2

RULES = sharding.Rules(
    {"embedding": ("vocab", "embed"), "up": ("embed", "mlp"), "down": ("mlp", "embed"), "head": ("embed", "vocab")}
)


def init_params(seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape) / shape[-2] ** 0.5, jnp.float32)

    return {
        "embedding": normal(VOCAB, WIDTH),
        "layers": {
            "norm": jnp.ones((LAYERS, WIDTH)),
            "up": normal(LAYERS, WIDTH, HIDDEN),
            "down": normal(LAYERS, HIDDEN, WIDTH),
        },
        "head": normal(WIDTH, VOCAB),
        "bias": jnp.zeros(VOCAB),
    }


def loss_fn(params, batch, key):
    """Cross-entropy of ``targets`` where ``mask`` is True: a sum over a count that differs between rows."""
    del key
    hidden = params["embedding"][batch["tokens"]]

    def layer(hidden, p):
        scaled = hidden * jax.lax.rsqrt(jnp.mean(hidden**2, -1, keepdims=True) + 1e-6) * p["norm"][None, None]
        return hidden + jnp.tanh(scaled @ p["up"]) @ p["down"], None

    hidden, _ = jax.lax.scan(layer, hidden, params["layers"])
    logits = hidden @ params["head"] + params["bias"][None, None]
    logps = jnp.take_along_axis(jax.nn.log_softmax(logits), batch["targets"][..., None], -1)[..., 0]
    right = jnp.argmax(logits, -1) == batch["targets"]
    metrics = {"accuracy": numerics.ratio(right.astype(jnp.float32), where=batch["mask"])}
    return numerics.ratio(-logps, where=batch["mask"]), metrics


def make_batch(seed=0, rows=ROWS, length=6):
    """Rows with between none and all of their entries valid."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, VOCAB, (rows, length + 1))
    mask = np.arange(length) < rng.integers(0, length + 1, (rows, 1))
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "mask": mask}
