"""The loss of classifiers of texts."""

import functools

import jax.numpy as jnp

from jaxalign import losses, numerics
from jaxalign.data.batches.counts import count_tokens
from jaxalign.models import ClassifierConfig, MatchingConfig
from jaxalign.numerics import Ratio
from jaxalign.typing import LossFn, Metrics, Params, TextBatch


def make_classification_loss(model) -> LossFn:
    """Makes the cross-entropy of a classifier of texts: softmax for one class a text, binary for several.

    The paper's recipe, for BERT-base: batches of 32 texts of at most 128 tokens, 8 epochs, AdamW at 2e-5 with weight
    decay 1e-3, a warm-up over 6 % of the steps and then a line to 0, gradients clipped at norm 1::

        steps = 8 * (len(texts) // 32)
        rate = training.linear_schedule(2e-5, num_steps=steps, warmup_steps=int(0.06 * steps))
        optimizer = training.adamw(rate, weight_decay=1e-3, clip_norm=1.0)
        step = training.make_train_step(training.make_classification_loss(model), optimizer)

    There is no dropout, which transformers' BERT has at 0.1 while it learns.

    Args:
      model: a classifier (:class:`jaxalign.models.ClassifierConfig`), whose ``problem_type`` decides; or one that
        matches with embeddings of classes (:class:`jaxalign.models.MatchingConfig`), where a text may have several.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.TextBatch` (:func:`jaxalign.data.text_batches`), whose labels are classes ``[B]`` or, for
      several to a text, ``[B, C]``. Metrics: ``accuracy`` (the likeliest class is right; of several, all C are: a logit
      above 0 says that the text has the class) and ``tokens``.

    Source: AttrPrompt (arXiv 2306.15895), the classifier.
    """
    return functools.partial(_classification_loss, model)


def _classification_loss(model, params: Params, batch: TextBatch, key) -> tuple[Ratio, Metrics]:
    several = model.config.multi_label
    if (batch.labels.ndim == 2) != several:
        expected = "[B, C], chances of each class" if several else "[B], one class for each text"
        raise ValueError(
            f"{_kind(model.config)} learns from labels {expected}, got labels of shape {batch.labels.shape}; encode "
            "them so, or build another classifier (models.ClassifierConfig with another problem_type)"
        )
    logits = model.apply({"params": params}, batch.tokens, mask=batch.mask)
    loss_fn = losses.sigmoid_cross_entropy_loss if several else losses.softmax_cross_entropy_loss
    loss = loss_fn(logits, batch.labels, where=batch.where, reduce_fn=numerics.ratio)
    if several:
        right = jnp.all((logits > 0) == (batch.labels > 0.5), axis=-1)
    else:
        right = jnp.argmax(logits, axis=-1) == batch.labels
    return loss, {"accuracy": numerics.ratio(1.0 * right, where=batch.where), "tokens": count_tokens(batch)}


def _kind(config: ClassifierConfig | MatchingConfig) -> str:
    named = isinstance(config, ClassifierConfig)
    return f"a classifier of problem_type {config.problem_type!r}" if named else "a classifier of class embeddings"
