"""A chat model of one layer with a byte-level tokenizer: its random texts are full of half characters."""

import jax
import numpy as np
import tokenizers

from jaxalign import data, models
from jaxalign.io import hf

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer():
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["there is water over there, the end of the world"] * 9, trainer)
    return data.HfTokenizer(backend, {"eos_token": "<|im_end|>", "pad_token": "<pad>"}, chat_template=CHATML)


def save(directory):
    """Writes a model, far from uniform, and returns it."""
    tokenizer = make_tokenizer()
    config = models.DecoderConfig(
        family="qwen3",
        vocab_size=tokenizer.vocab_size,
        width=16,
        mlp_width=32,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_length=128,
        qk_norm=True,
        tied_embeddings=True,
    )
    model = models.build(config)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    hf.save_pretrained(directory, config, params, tokenizer=tokenizer)
    return model, params, tokenizer
