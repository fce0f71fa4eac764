"""Hugging Face model directories in and out: config.json, safetensors, tokenizer files, model card.

``load_pretrained`` and ``save_pretrained`` are each other's inverse, bit for bit in float32, and transformers loads
what is saved with equal logits, states or scores. Families are rows of a table (``families.py``); weights are
safetensors, never pickles, and no code comes with a model. ``load_adapter`` and ``save_adapter`` do the same for LoRA
adapters and the ``peft`` library.
"""

from jaxalign.io.hf.adapters import load_adapter, save_adapter
from jaxalign.io.hf.card import ModelCard
from jaxalign.io.hf.config import config_from_json, config_to_json, read_config
from jaxalign.io.hf.families import FAMILIES
from jaxalign.io.hf.read import load_pretrained
from jaxalign.io.hf.resolve import resolve
from jaxalign.io.hf.token_ids import end_ids
from jaxalign.io.hf.write import save_pretrained

__all__ = [
    "FAMILIES",
    "ModelCard",
    "config_from_json",
    "config_to_json",
    "end_ids",
    "load_adapter",
    "load_pretrained",
    "read_config",
    "resolve",
    "save_adapter",
    "save_pretrained",
]
