"""The classifier on frozen embeddings of texts: ``d W C^T``, with C from embeddings of class names, trained with W."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from jaxalign import losses
from jaxalign.models.matching import MatchingHead


class Lessons(NamedTuple):
    """What a classifier learns from: texts of which some classes are known, others not, and what each text counts."""

    embeddings: Float[np.ndarray, "N D"]
    labels: Float[np.ndarray, "N C"]
    where: Bool[np.ndarray, "N C"]
    weights: Float[np.ndarray, "N"]


def join(cores: Lessons, generated: Lessons) -> Lessons:
    """Puts documents with core classes and generated ones together, which count for as much as those in all.

    Source: TELEClass (arXiv 2403.00165): the loss of generated documents is weighted by |D_core| / |D_gen|.
    """
    weight = len(cores.weights) / max(len(generated.weights), 1) if len(cores.weights) else 1.0
    weighted = generated._replace(weights=np.full(len(generated.weights), weight, np.float32))
    return Lessons(*(np.concatenate(pair) for pair in zip(cores, weighted, strict=True)))


def learn(
    lessons: Lessons, class_embeddings: Float[np.ndarray, "C E"], seed: int, *, steps: int, learning_rate: float
) -> dict[str, Array]:
    """Returns the parameters of a head after so many steps of Adam on all lessons, with a line down to 0."""
    head = MatchingHead(*class_embeddings.shape)
    params = head.init(jax.random.key(seed), jnp.zeros((1, lessons.embeddings.shape[1])))["params"]
    params = {**params, "class_embeddings": jnp.asarray(class_embeddings, jnp.float32)}
    return _fit(head, params, lessons, jnp.float32(learning_rate), steps)


def probabilities(
    params: dict[str, Array], embeddings: Float[np.ndarray, "N D"], num_classes: int
) -> Float[np.ndarray, "N C"]:
    """Returns the probability of each class by itself."""
    head = MatchingHead(num_classes, params["class_embeddings"].shape[1])
    return np.asarray(jax.nn.sigmoid(head.apply({"params": params}, jnp.asarray(embeddings))))


@functools.partial(jax.jit, static_argnames=("head", "steps"))
def _fit(head: MatchingHead, params, lessons: Lessons, learning_rate, steps: int):
    optimizer = optax.adam(lambda step: learning_rate * (1 - step / steps))

    def loss(params):
        logits = head.apply({"params": params}, lessons.embeddings)
        reduce_fn = losses.weighted(jnp.sum, lessons.weights)
        total = losses.masked_sigmoid_cross_entropy_loss(
            logits, lessons.labels, where=lessons.where, reduce_fn=reduce_fn
        )
        return total / jnp.sum(lessons.weights)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[0][0]
