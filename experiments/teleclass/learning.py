"""The classifier on states of texts from a frozen network: ``d W C^T``, with C from embeddings of class names."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from jaxalign import losses
from jaxalign.models.matching import MatchingHead

BLOCK = 512  # texts, to a multiple of which lessons are filled up


class Lessons(NamedTuple):
    """What a classifier learns from: texts of which some classes are known, others not, and what each text counts."""

    texts: Sequence[str]
    embeddings: Float[np.ndarray, "N D"]
    labels: Float[np.ndarray, "N C"]
    where: Bool[np.ndarray, "N C"]
    weights: Float[np.ndarray, "N"]


class Learnt(NamedTuple):
    """What a classifier says of texts: the probability of each class by itself, and its parameters."""

    probabilities: Float[np.ndarray, "N C"]
    params: Any


class LearnFn(Protocol):
    """``learn(name, lessons, texts, embeddings)``: a classifier that learns from lessons, and what it says of texts."""

    def __call__(
        self, name: str, lessons: Lessons, texts: Sequence[str], embeddings: Float[np.ndarray, "N D"]
    ) -> Learnt: ...


def labelled_lessons(
    texts: Sequence[str], embeddings: Float[np.ndarray, "N D"], labels: Bool[np.ndarray, "N C"]
) -> Lessons:
    """Returns the lessons of texts all of whose classes are known."""
    return Lessons(texts, embeddings, labels.astype(np.float32), np.ones_like(labels), np.ones(len(labels), np.float32))


def join(cores: Lessons, generated: Lessons) -> Lessons:
    """Puts documents with core classes and generated ones together, which count for as much as those in all.

    Source: TELEClass (arXiv 2403.00165): the loss of generated documents is weighted by |D_core| / |D_gen|.
    """
    weight = len(cores.weights) / max(len(generated.weights), 1) if len(cores.weights) else 1.0
    weighted = generated._replace(weights=np.full(len(generated.weights), weight, np.float32))
    texts = [*cores.texts, *generated.texts]
    return Lessons(texts, *(np.concatenate(pair) for pair in zip(cores[1:], weighted[1:], strict=True)))


def learn_head(
    name: str,
    lessons: Lessons,
    texts: Sequence[str],
    embeddings: Float[np.ndarray, "N D"],
    *,
    class_embeddings: Float[np.ndarray, "C E"],
    seed: int,
    steps: int,
    learning_rate: float,
) -> Learnt:
    """Learns a head in so many steps of Adam on all lessons, with a line down to 0; texts are known by embeddings."""
    head = MatchingHead(*class_embeddings.shape)
    params = head.init(jax.random.key(seed), jnp.zeros((1, lessons.embeddings.shape[1])))["params"]
    params = {**params, "class_embeddings": jnp.asarray(class_embeddings, jnp.float32)}
    params = _fit(head, params, _padded(lessons), jnp.float32(learning_rate), steps)
    return Learnt(np.asarray(_probabilities(head, params, jnp.asarray(embeddings))), params)


def _padded(lessons: Lessons) -> Lessons:
    """Fills rows up that count nothing, so that lessons of about as many texts share a program."""
    rows = ((0, -len(lessons.labels) % BLOCK), (0, 0))
    padded = [np.pad(each, rows[: each.ndim]) for each in lessons[1:]]
    return Lessons((), *padded)


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(head: MatchingHead, params: dict[str, Array], embeddings) -> Float[Array, "N C"]:
    return jax.nn.sigmoid(head.apply({"params": params}, embeddings))


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
