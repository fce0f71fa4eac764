"""The README.md of an exported model."""

import html
from collections.abc import Mapping
from typing import Any, NamedTuple

import jaxalign
from jaxalign.models import (
    ClassifierConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    ModelConfig,
    RewardConfig,
    backbone_config,
)


class ModelCard(NamedTuple):
    """What only the author of a model knows, for the README.md of an export."""

    title: str = "A model aligned with jaxalign"
    description: str = ""  # plain text, paragraphs apart by empty lines
    metadata: Mapping[str, Any] = {}  # front matter such as license, base_model, datasets, language


PLAIN_CARD = ModelCard()
TASKS = {
    DecoderConfig: "text-generation",
    EncoderConfig: "feature-extraction",
    EncoderDecoderConfig: "text2text-generation",
    RewardConfig: "text-classification",
    ClassifierConfig: "text-classification",
}


def render_card(card: ModelCard, config: ModelConfig, num_params: int, dtype: str) -> str:
    """Markdown behind a YAML front matter; texts are escaped, so that neither can be broken out of."""
    from huggingface_hub import ModelCardData

    metadata = {"library_name": "transformers", "pipeline_tag": TASKS[type(config)], "tags": ["jaxalign"]}
    front = ModelCardData(**(metadata | dict(card.metadata))).to_yaml()
    network = backbone_config(config)
    layers = str(network.num_layers)
    if isinstance(network, EncoderDecoderConfig):
        layers += f" + {network.num_decoder_layers}"
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
| Layers, width, heads | {layers}, {network.width}, {network.num_heads} |
| Vocabulary | {network.vocab_size:,} |
| Weights | safetensors, {dtype} |
| Exported by | jaxalign {jaxalign.__version__} |
"""
