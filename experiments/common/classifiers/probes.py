"""Linear probes: a logistic regression on what a frozen network makes of texts, or on their words."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from experiments.common.classifiers import reading
from experiments.common.classifiers.settings import ClassifierTraining, Start, Trained
from jaxalign import data, models
from jaxalign.data.text.single_texts import TextLabels
from jaxalign.models import Probe

Embed = Callable[[Sequence[str]], Float[np.ndarray, "N D"]]


def fit(
    texts: Sequence[str], targets: TextLabels, classes: tuple[str, ...], start: Start, tuning: ClassifierTraining
) -> Trained:
    """A regression on all texts: softmax for one class a text, one of two classes for each label of several."""
    embeddings, several = embed(start, tuning, texts), targets.ndim == 2
    if several:
        each = [models.fit_probe(embeddings, targets[:, c].astype(int), num_classes=2) for c in range(len(classes))]
        probe = Probe(*(np.stack([parts[..., 1] for parts in pair], axis=-1) for pair in zip(*each, strict=True)))
    else:
        probe = models.fit_probe(embeddings, targets, num_classes=len(classes))
    told = {"texts to learn from": len(texts), "numbers for a text": embeddings.shape[1]}
    return Trained(
        classes,
        several,
        functools.partial(_predict, probe, functools.partial(embed, start, tuning), several),
        told,
        start,
    )


def _predict(probe: Probe, embed: Embed, several: bool, texts: Sequence[str]) -> Float[np.ndarray, "N C"]:
    logits = models.probe_logits(probe, embed(texts))
    return np.asarray(jax.nn.sigmoid(logits) if several else jax.nn.softmax(logits, axis=-1))


def embed(start: Start, tuning: ClassifierTraining, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """What the frozen network makes of texts, or how often each has which word where there is none: unit vectors."""
    return (_embed_words if start.backbone is None else _embed)(start, tuning, texts)


def _embed(start: Start, tuning: ClassifierTraining, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """The mean of the states of a text's tokens, divided by its norm, as sentence encoders such as MiniLM do."""
    seen = {} if start.seen is None else start.seen
    if new := [text for text in dict.fromkeys(texts) if text not in seen]:
        seen.update(zip(new, _read(start, tuning, new), strict=True))
    return np.stack([seen[text] for text in texts])


def _read(start: Start, tuning: ClassifierTraining, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    lengths = reading.row_lengths(tuning.text_lengths, start.backbone)
    encoded = data.encode_texts(texts, start.tokenizer, max_tokens=lengths[-1])
    read = functools.partial(models.embed_texts, start.backbone.model, start.backbone.params, normalize=True)
    return reading.read_texts(read, encoded, lengths)


def _embed_words(start: Start, tuning: ClassifierTraining, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """How often each word that the tokenizer knows is in a text, divided by the norm; what it does not know is one."""
    counts = np.zeros((len(texts), start.tokenizer.vocab_size), np.float32)
    for row, text in enumerate(texts):
        np.add.at(counts[row], _encode(start.tokenizer, text)[: tuning.text_lengths[-1]], 1)
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)


@functools.lru_cache(maxsize=1 << 14)  # experiments show the same texts to many probes
def _encode(tokenizer: data.Tokenizer, text: str) -> Int[np.ndarray, "L"]:
    return np.asarray(tokenizer.encode(text), np.int32)
