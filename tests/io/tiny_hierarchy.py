"""A tiny classifier with a taxonomy and a real tokenizer, random in every weight."""

import jax
import numpy as np
import tokenizers

from jaxalign import data, models
from jaxalign.io.hierarchy_model import HierarchyModel
from jaxalign.taxonomy import Taxonomy
from tests.parity import tiny

#   animal (0)      stone (4)
#   pet (1)  wild (2)
#   dog (3), below pet and wild
TAXONOMY = Taxonomy(
    ("animal", "pet", "wild | free", "dog", "stone"), ((), (0,), (0,), (1, 2), ()), ids=("A", "P", "W", "D", "S")
)
WIDTH, CLASS_WIDTH = 12, 6


def tokenizer() -> data.HfTokenizer:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "the", "first", "text", ".", ",", "which", "is"]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(vocabulary)}, "[UNK]")
    )
    backend.normalizer = tokenizers.normalizers.Lowercase()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(vocabulary[:4])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return data.HfTokenizer(backend, {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")})


def make(pooling: str = "mean", *, pooler: bool = True, max_tokens: int = 6) -> HierarchyModel:
    encoder = models.EncoderConfig(14, WIDTH, 16, 1, 2, max_length=8, pooler=pooler)
    config = models.MatchingConfig(encoder, TAXONOMY.ids, CLASS_WIDTH, pooling)
    params = jax.tree.map(lambda leaf: 2 * np.asarray(leaf), tiny.random_params(config))
    return HierarchyModel(TAXONOMY, config, params, tokenizer(), max_tokens)


def certain(model: HierarchyModel, logits: dict[str, float]) -> HierarchyModel:
    """The model with an encoder that gives every text the same state, and with these logits for it.

    Its last layer norm has scale 0 and bias (1, 0, ...), W is a part of the identity, and C has the logits first.
    """
    backbone, layers = model.params["backbone"], model.params["backbone"]["layers"]
    norm = {"scale": np.zeros((1, WIDTH), np.float32), "bias": np.eye(1, WIDTH, dtype=np.float32)}
    backbone = {**backbone, "layers": {**layers, "mlp_norm": norm}}
    head = {
        "interaction": np.eye(WIDTH, CLASS_WIDTH, dtype=np.float32),
        "class_embeddings": np.zeros((len(model.taxonomy), CLASS_WIDTH), np.float32),
    }
    for id, logit in logits.items():
        head["class_embeddings"][model.taxonomy.index(id), 0] = logit
    return model._replace(params={"backbone": backbone, "head": head})
