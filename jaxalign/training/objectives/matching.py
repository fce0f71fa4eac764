"""The loss of classifiers that match texts with classes of which only some are known for each text."""

import functools

import jax.numpy as jnp

from jaxalign import losses, numerics
from jaxalign.data.batches.counts import count_tokens
from jaxalign.numerics import Ratio
from jaxalign.typing import LossFn, Metrics, Params, TextBatch


def make_matching_loss(model) -> LossFn:
    """Makes the binary cross-entropy of a hierarchical classifier, in which each text and class counts differently.

    Of a document some classes are known and others not (:func:`jaxalign.taxonomy.core_masks`), and written documents
    count more or less than found ones. So a batch has ``[B, 2 C]`` labels: the chance in [0, 1] that the text has each
    class, and behind these the weight of the text in [0, 1] for each class of which something is known, and 0 for the
    others. Weights are relative: twice all of them is the same loss. The paper's recipe, for BERT-base: batches of 64
    texts of at most 512 tokens, 5 epochs, AdamW at a constant 5e-5, gradients clipped at norm 1::

        labels = np.concatenate([masks.labels, masks.where * weights[:, None] / weights.max()], axis=1)
        texts = data.encode_texts(documents, tokenizer, max_tokens=512, labels=labels)
        loss_fn = training.make_matching_loss(models.build(matching_config))

    Args:
      model: a classifier of C classes whose texts may have several, such as that of a
        :class:`~jaxalign.models.MatchingConfig`.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.TextBatch` (:func:`jaxalign.data.text_batches`). The loss is summed over the classes of a
      text and averaged over texts, each as often as its largest weight says. Metrics: ``hits`` (the share of pairs of
      text and class that count, the text has, and the classifier finds) and ``tokens``.

    Source: TELEClass (arXiv 2403.00165), the classifier's loss, with plain logits: the paper's sigma(exp(.)) is 0.5 or
    more for all of them.
    """
    return functools.partial(_matching_loss, model)


def _matching_loss(model, params: Params, batch: TextBatch, key) -> tuple[Ratio, Metrics]:
    num_classes = len(model.config.labels)
    if batch.labels.shape[1:] != (2 * num_classes,):
        raise ValueError(
            f"expected labels [B, {2 * num_classes}], the chances of {num_classes} classes and what each counts, got "
            f"{batch.labels.shape}; put the weights behind the chances"
        )
    labels, weights = jnp.split(batch.labels, 2, axis=-1)
    weights = jnp.where(batch.where[:, None], weights, 0)
    logits = model.apply({"params": params}, batch.tokens, mask=batch.mask)
    text_weights = weights.max(axis=-1)
    total = losses.masked_sigmoid_cross_entropy_loss(
        logits, labels, where=weights > 0, reduce_fn=losses.weighted(jnp.sum, text_weights)
    )
    has = (labels > 0.5) & (weights > 0)
    hits = numerics.ratio(1.0 * (logits > 0), where=has)
    return Ratio(total, jnp.sum(text_weights)), {"hits": hits, "tokens": count_tokens(batch)}
