"""What families call their tensors, as data: our paths of parameters, and the names in files.

A ``{}`` in a name stands for the layer. Paths under ``layers/`` are stacked here and one tensor a layer there.
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
    """The names of the Llama line, which differ in the norms of a layer; ``norms`` maps ours to theirs."""
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


def _t5_stack(stack: str, mlp_layer: int) -> dict[str, Name]:
    """One stack's names: self-attention is a block's first layer, the MLP its second or third."""
    block = f"{stack}.block.{{}}.layer."
    mlp = f"{block}{mlp_layer}.DenseReluDense"
    first = f"{stack}.block.0.layer.0.SelfAttention"
    return {
        f"{stack}/relative_bias": Name(f"{first}.relative_attention_bias.weight"),
        **_t5_attention(f"{stack}/layers/attention", f"{stack}/layers/attention", f"{block}0.SelfAttention"),
        f"{stack}/layers/attention_norm/scale": Name(f"{block}0.layer_norm.weight"),
        f"{stack}/layers/mlp/up": Name(f"{mlp}.wi.weight", 1),
        f"{stack}/layers/mlp/down": Name(f"{mlp}.wo.weight", 1),
        f"{stack}/layers/gated_mlp/gate": Name(f"{mlp}.wi_0.weight", 1),
        f"{stack}/layers/gated_mlp/up": Name(f"{mlp}.wi_1.weight", 1),
        f"{stack}/layers/gated_mlp/down": Name(f"{mlp}.wo.weight", 1),
        f"{stack}/layers/mlp_norm/scale": Name(f"{block}{mlp_layer}.layer_norm.weight"),
        f"{stack}/final_norm/scale": Name(f"{stack}.final_layer_norm.weight"),
    }


def _t5_attention(queries: str, keys: str, name: str) -> dict[str, Name]:
    return {
        f"{queries}/query": Name(f"{name}.q.weight", 1),
        f"{keys}/key": Name(f"{name}.k.weight", 1),
        f"{keys}/value": Name(f"{name}.v.weight", 1),
        f"{queries}/output": Name(f"{name}.o.weight", 2),
    }


SHARED = "shared.weight"
_CROSS = "decoder.block.{}.layer.1"
T5_NAMES = {
    "embedding": Name(SHARED),
    "unembedding": Name(UNEMBEDDING, 1),
    **_t5_stack("encoder", 1),
    **_t5_stack("decoder", 2),
    **_t5_attention("decoder/layers/cross_attention", "decoder/layers/memory", f"{_CROSS}.EncDecAttention"),
    "decoder/layers/cross_norm/scale": Name(f"{_CROSS}.layer_norm.weight"),
}
# Old releases stored a bias for cross-attention, which nothing reads.
T5_SPELLING = Spelling((), r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$")
