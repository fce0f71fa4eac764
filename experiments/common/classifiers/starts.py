"""What a classifier begins with: a pretrained network, or a small encoder that knows the words of some texts."""

import functools
from collections import Counter
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import tokenizers
from jaxtyping import Array

from experiments.common import stages
from experiments.common.classifiers.settings import ClassifierTraining, Start
from experiments.common.task import Policy
from jaxalign import data, models
from jaxalign.data import HfTokenizer
from jaxalign.io import hf
from jaxalign.typing import Params

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make_start(tuning: ClassifierTraining, texts: Iterable[str], seed: int) -> Start:
    """The pretrained encoder, or where that is empty a new one that knows the most frequent words of these texts.

    A new one has learnt nothing that a probe could read: for a probe it is left out.
    """
    if tuning.encoder:
        return Start(data.load_tokenizer(hf.resolve(tuning.encoder)), stages.load_policy(tuning.encoder), {})
    tokenizer = make_tokenizer(texts, tuning.encoder_words)
    return Start(tokenizer, None if tuning.classifier == "probe" else new_encoder(tuning, jax.random.key(seed)))


def new_encoder(tuning: ClassifierTraining, key: Array) -> Policy:
    """A BERT of this width and number of layers, heads of 32, with random parameters.

    It has a row for each of ``encoder_words`` words, known or not, so that encoders of different texts share programs.
    """
    width, num_layers = tuning.encoder_size
    config = models.EncoderConfig(
        vocab_size=tuning.encoder_words + len(SPECIAL),
        width=width,
        mlp_width=4 * width,
        num_layers=num_layers,
        num_heads=max(width // 32, 1),
        max_length=tuning.text_lengths[-1],
        pooler=True,
    )
    model = models.build(config)
    return Policy(model, _new_params(model, key))


def make_tokenizer(texts: Iterable[str], num_words: int) -> HfTokenizer:
    """Makes a tokenizer of one token a word or mark, lower case, that knows the most frequent ones of these texts.

    It writes ``[CLS] text [SEP]``, as BERT's do; a word that it does not know is ``[UNK]``.
    """
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
    )
    known = sorted(counts, key=lambda word: (-counts[word], word))[:num_words]
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *known))}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
    backend.add_special_tokens(list(SPECIAL))
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return HfTokenizer(backend, {f"{token[1:-1].lower()}_token": token for token in SPECIAL})


@functools.partial(jax.jit, static_argnums=0)
def _new_params(model: models.Encoder, key: Array) -> Params:
    return model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]
