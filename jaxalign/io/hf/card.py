"""The README.md of an exported model."""

import html
from collections.abc import Mapping
from typing import Any, NamedTuple

import jaxalign
from jaxalign.models import DecoderConfig


class ModelCard(NamedTuple):
    """What only the author of a model knows."""

    title: str = "A model aligned with jaxalign"
    description: str = ""  # plain text, paragraphs apart by empty lines
    metadata: Mapping[str, Any] = {}  # front matter such as license, base_model, datasets, language


PLAIN_CARD = ModelCard()


def render_card(card: ModelCard, config: DecoderConfig, num_params: int, dtype: str) -> str:
    """Markdown behind a YAML front matter; texts are escaped, so that neither can be broken out of."""
    from huggingface_hub import ModelCardData

    metadata = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["jaxalign"]}
    front = ModelCardData(**(metadata | dict(card.metadata))).to_yaml()
    title, description = " ".join(html.escape(card.title).split()), html.escape(card.description, quote=False)
    return f"""---
{front}
---

# {title}

{description}

| | |
|---|---|
| Architecture | {config.family} |
| Parameters | {num_params:,} |
| Layers, width, heads | {config.num_layers}, {config.width}, {config.num_heads} |
| Vocabulary | {config.vocab_size:,} |
| Weights | safetensors, {dtype} |
| Exported by | jaxalign {jaxalign.__version__} |
"""
