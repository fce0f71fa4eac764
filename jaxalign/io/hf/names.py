"""What families call their tensors, as data: our paths of parameters, and the names in files.

In names, ``{}`` stands for the layer. Paths under ``layers/`` are stacked here and one tensor a layer there.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Name(NamedTuple):
    """A tensor's name in files, and the number of leading axes of our parameter that are inputs of a linear map."""

    template: str
    inputs: int | None = None  # None: not a map, stored as it is


class Spelling(NamedTuple):
    """How files of a family depart from its names."""

    renames: tuple[tuple[str, str], ...]  # patterns of older or larger models' names, and what to write instead
    ignored: str  # a pattern of tensors that are not read

    def plain(self, name: str) -> str | None:
        """The name without a dialect; None for a tensor that is not read."""
        if re.match(self.ignored, name):
            return None
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name


def linear(path: str, name: str, inputs: int = 1) -> dict[str, Name]:
    """A linear map and its bias; a model without the bias has no parameter for it."""
    return {path: Name(f"{name}.weight", inputs), f"{path}_bias": Name(f"{name}.bias", 0)}


def norm(path: str, name: str) -> dict[str, Name]:
    """A norm's weight, and its bias where it has one."""
    return {f"{path}/scale": Name(f"{name}.weight"), f"{path}/bias": Name(f"{name}.bias")}


EMBEDDING, UNEMBEDDING = "model.embed_tokens.weight", "lm_head.weight"


def decoder_names(norms: Mapping[str, str]) -> dict[str, Name]:
    """Those of the Llama line, which differ in the norms of a layer: ours, and theirs."""
    layer = "model.layers.{}."
    layer_norms = {}
    for ours, theirs in norms.items():
        layer_norms |= norm(f"layers/{ours}", layer + theirs)
    return {
        "embedding": Name(EMBEDDING),
        "unembedding": Name(UNEMBEDDING, 1),
        **norm("final_norm", "model.norm"),
        **linear("layers/attention/query", f"{layer}self_attn.q_proj"),
        **linear("layers/attention/key", f"{layer}self_attn.k_proj"),
        **linear("layers/attention/value", f"{layer}self_attn.v_proj"),
        **linear("layers/attention/output", f"{layer}self_attn.o_proj", 2),
        **linear("layers/mlp/gate", f"{layer}mlp.gate_proj"),
        **linear("layers/mlp/up", f"{layer}mlp.up_proj"),
        **linear("layers/mlp/down", f"{layer}mlp.down_proj"),
        **norm("layers/attention/query_norm", f"{layer}self_attn.q_norm"),
        **norm("layers/attention/key_norm", f"{layer}self_attn.k_norm"),
        **layer_norms,
    }


# The text part of a multimodal model carries one of these prefixes, depending on the release that wrote it. Its vision
# parts are not read, nor are constants that old releases stored.
DECODER_SPELLING = Spelling(
    ((r"^(language_model\.model|model\.language_model)\.", "model."), (r"^language_model\.", "")),
    r"(model\.)?(vision_tower|multi_modal_projector)\.|.*\.rotary_emb\.inv_freq$",
)

_LAYER = "encoder.layer.{}."
BERT_NAMES = {
    "embedding": Name("embeddings.word_embeddings.weight"),
    "position_embedding": Name("embeddings.position_embeddings.weight"),
    "token_type_embedding": Name("embeddings.token_type_embeddings.weight"),
    **norm("embedding_norm", "embeddings.LayerNorm"),
    **linear("layers/attention/query", f"{_LAYER}attention.self.query"),
    **linear("layers/attention/key", f"{_LAYER}attention.self.key"),
    **linear("layers/attention/value", f"{_LAYER}attention.self.value"),
    **linear("layers/attention/output", f"{_LAYER}attention.output.dense", 2),
    **norm("layers/attention_norm", f"{_LAYER}attention.output.LayerNorm"),
    **linear("layers/mlp/up", f"{_LAYER}intermediate.dense"),
    **linear("layers/mlp/down", f"{_LAYER}output.dense"),
    **norm("layers/mlp_norm", f"{_LAYER}output.LayerNorm"),
    **linear("pooler", "pooler.dense"),
}
# Models with a head carry the prefix, and files of TensorFlow's time say gamma and beta. The heads of pretraining
# (masked words, next sentence) and constants that old releases stored are not read.
BERT_SPELLING = Spelling(
    ((r"^bert\.", ""), (r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    r"cls\.(predictions|seq_relationship)\.|(bert\.)?embeddings\.(position_ids|token_type_ids)$",
)
