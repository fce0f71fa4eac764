"""Configs of networks. Sizes count elements; names in brackets are those of Hugging Face's config.json."""

import dataclasses
import math
from typing import ClassVar, Literal

Remat = Literal["none", "dots", "full", "offload"]
"""What the backward pass recomputes of layers, to spare memory: nothing, all but matrix products, everything, or
everything from inputs that wait in host memory (GPU and TPU)."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the directory that a model was read from says beyond what is modelled, so that an export can say it again.

    It travels with the config, but two configs that differ in it alone are the same model: equal, with one hash.
    """

    config: str  # config.json, as JSON
    generation: str | None = None  # generation_config.json, as JSON; None: there is none
    dtype: Literal["float32", "bfloat16", "float16"] | None = None  # the dtype of the weights in the files
    tokenizer: str = ""  # a hash of the tokenizer's files


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Rotary positions stretched beyond the length of pretraining; fields of other kinds stay at their defaults.

    - ``"linear"``: every frequency by ``factor``.
    - ``"llama3"``: a blend of long wavelengths, stretched, and short ones, kept.
    - ``"yarn"`` (arXiv 2309.00071): the same by a ramp over frequencies, and cosines and sines times a factor.
    - ``"dynamic"``: a base that grows with sequences longer than ``original_max_length``.
    - ``"longrope"`` (arXiv 2402.13753): every frequency by a factor of its own, from one list in sequences of up to
      ``original_max_length`` tokens and from another in longer ones.
    """

    kind: Literal["linear", "llama3", "dynamic", "yarn", "longrope"]
    factor: float
    low_frequency_factor: float = 1.0  # llama3
    high_frequency_factor: float = 4.0  # llama3
    original_max_length: int = 8192  # tokens; all but linear
    beta_fast: float = 32.0  # yarn: turns in the original length of the first frequency that is not kept
    beta_slow: float = 1.0  # yarn: turns of the last one that is not fully stretched
    truncate: bool = True  # yarn: the ramp begins and ends at whole numbers
    attention_factor: float | None = None  # yarn and longrope: factor of cosines and sines; None: as recommended
    short_factors: tuple[float, ...] = ()  # longrope: one for each of head_dim / 2 frequencies
    long_factors: tuple[float, ...] = ()

    @property
    def limit(self) -> int | None:
        """Tokens beyond which the rotation depends on a sequence's final length; None: it never does."""
        return self.original_max_length if self.kind in ("dynamic", "longrope") else None

    def check_heads(self, head_dim: int) -> None:
        """Raises ValueError if heads of this width cannot be rotated so."""
        if self.kind == "dynamic" and head_dim <= 2:
            raise ValueError(f"rope_scaling of kind 'dynamic' needs heads wider than 2, got head_dim {head_dim}")
        for name in ("short_factors", "long_factors") if self.kind == "longrope" else ():
            if (count := len(getattr(self, name))) != head_dim // 2:
                raise ValueError(
                    f"rope_scaling.{name} has {count} entries for heads of {head_dim}; give {head_dim // 2}, one for "
                    f"each frequency"
                )

    @property
    def rotation_scale(self) -> float:
        """What cosines and sines are multiplied by."""
        if self.kind not in ("yarn", "longrope"):
            return 1.0
        if self.attention_factor is not None:
            return self.attention_factor
        if self.factor <= 1:
            return 1.0
        if self.kind == "yarn":
            return 0.1 * math.log(self.factor) + 1
        return math.sqrt(1 + math.log(self.factor) / math.log(self.original_max_length))


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """A causal language model of the Llama line: Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3 (text).

    The families differ only in the fields below; the module has no branch on ``family``, which export reads.
    """

    vocab_size: int
    width: int  # [hidden_size]
    mlp_width: int  # [intermediate_size]
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    family: str = "llama"  # a key of jaxalign.io.hf's table of families
    max_length: int = 2048  # tokens that positions were trained for [max_position_embeddings]

    rope_base: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    local_rope_base: float | None = None  # rotary base of windowed layers, where it differs
    window: int | None = None  # a windowed layer sees this many tokens, itself included
    windowed_layers: tuple[bool, ...] = ()  # one entry a layer; empty: all layers if ``window`` is set

    activation: Literal["silu", "gelu_tanh"] = "silu"
    norm_epsilon: float = 1e-6
    norm_unit_offset: bool = False  # Gemma: weights are stored minus one
    post_norms: bool = False  # Gemma: a norm after attention and after the MLP, before the residual sum
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False  # a norm over each head's query and key
    query_scale: float | None = None  # multiplies attention logits; None: head_dim ** -0.5
    attention_softcap: float | None = None  # logits become cap * tanh(logits / cap)
    logit_softcap: float | None = None
    embedding_scale: bool = False  # Gemma: embeddings times sqrt(width)
    tied_embeddings: bool = False

    dtype: Literal["float32", "bfloat16"] = "float32"  # what is multiplied; sums, norms and parameters are float32
    float8: bool = False  # the layers' linear maps multiply in float8 instead, see jaxalign.models.float8
    remat: Remat = "none"
    attention: Literal["xla", "cudnn"] = "xla"  # cudnn: GPU and bfloat16 only; capped logits stay with xla

    origin: Origin | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self):
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads ({self.num_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads}); "
                f"each key-value head serves an equal group of query heads"
            )
        if self.windowed_layers and len(self.windowed_layers) != self.num_layers:
            raise ValueError(
                f"windowed_layers has {len(self.windowed_layers)} entries for {self.num_layers} layers; give one each"
            )
        if any(self.windowed_layers) and self.window is None:
            raise ValueError("windowed_layers marks layers, but window is None; give the number of tokens they see")
        if self.rope_scaling is not None:
            self.rope_scaling.check_heads(self.head_dim)

    @property
    def layer_windows(self) -> tuple[bool, ...]:
        """Whether each layer sees only the last ``window`` tokens."""
        return self.windowed_layers or (self.window is not None,) * self.num_layers


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """A bidirectional encoder of the BERT line (arXiv 1810.04805): BERT, and sentence encoders such as MiniLM.

    Positions are learned, norms stand after the residual sums, and every linear map has a bias.
    """

    vocab_size: int
    width: int  # [hidden_size]
    mlp_width: int  # [intermediate_size]
    num_layers: int
    num_heads: int
    family: str = "bert"  # a key of jaxalign.io.hf's table of families
    max_length: int = 512  # tokens that have a position; a longer row is an error [max_position_embeddings]
    num_token_types: int = 2  # [type_vocab_size]
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    norm_epsilon: float = 1e-12
    pooler: bool = False  # a linear map and tanh on the first token's state; a model's parameters have it or not

    dtype: Literal["float32", "bfloat16"] = "float32"  # what is multiplied; sums, norms and parameters are float32
    float8: bool = False  # the layers' linear maps multiply in float8 instead, see jaxalign.models.float8
    remat: Remat = "none"

    origin: Origin | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self):
        if self.width % self.num_heads:
            raise ValueError(
                f"width ({self.width}) must be a multiple of num_heads ({self.num_heads}); the heads divide it equally"
            )

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return self.width // self.num_heads


@dataclasses.dataclass(frozen=True)
class EncoderDecoderConfig:
    """An encoder-decoder of the T5 line (arXiv 1910.10683): T5 v1.0, and v1.1 with FLAN-T5.

    Positions are relative: a bias on attention logits for each head and distance, shared by the layers of a stack, with
    far distances in common buckets. Norms are RMS norms before each part of a layer, attention logits are not scaled,
    and no linear map has a bias. v1.0 has the defaults; v1.1 has ``gated_mlp`` with ``"gelu_tanh"``, an output matrix
    of its own, and no ``output_scale``.
    """

    vocab_size: int
    width: int  # [d_model]
    mlp_width: int  # [d_ff]
    num_layers: int  # the encoder's
    num_decoder_layers: int
    num_heads: int
    head_dim: int  # [d_kv]
    family: str = "t5"  # a key of jaxalign.io.hf's table of families
    num_buckets: int = 32  # buckets of distances [relative_attention_num_buckets]
    max_distance: int = 128  # tokens; all farther ones share a bucket [relative_attention_max_distance]
    activation: Literal["relu", "gelu_tanh", "silu"] = "relu"
    gated_mlp: bool = False
    norm_epsilon: float = 1e-6
    tied_embeddings: bool = True
    output_scale: bool = True  # the decoder's states are multiplied by width ** -0.5 before the output matrix
    start_id: int = 0  # what the decoder reads first: the padding token [decoder_start_token_id]

    dtype: Literal["float32", "bfloat16"] = "float32"  # what is multiplied; sums, norms and parameters are float32
    float8: bool = False  # the layers' linear maps multiply in float8 instead, see jaxalign.models.float8
    remat: Remat = "none"

    origin: Origin | None = dataclasses.field(default=None, compare=False, repr=False)

    # What is asked of every language model, and is the same in all of this line.
    logit_softcap: ClassVar[None] = None
    rope_scaling: ClassVar[None] = None
    max_length: ClassVar[float] = math.inf  # relative positions have no last one

    def __post_init__(self):
        if self.num_buckets < 4 or self.num_buckets % 4:
            raise ValueError(
                f"num_buckets ({self.num_buckets}) must be a multiple of 4: the encoder gives half of them to each "
                f"direction, and half of these to single distances"
            )
        if self.max_distance <= self.num_buckets // 2:
            raise ValueError(
                f"max_distance ({self.max_distance}) must exceed {self.num_buckets // 2}, the distances that have a "
                f"bucket each when num_buckets is {self.num_buckets}"
            )

    @property
    def num_kv_heads(self) -> int:
        """The number of key-value heads, which is that of query heads: each has keys of its own."""
        return self.num_heads

    @property
    def layer_windows(self) -> tuple[bool, ...]:
        """One entry a decoder layer, of which none has a window."""
        return (False,) * self.num_decoder_layers


LanguageModelConfig = DecoderConfig | EncoderDecoderConfig
"""What generates text."""

NetworkConfig = LanguageModelConfig | EncoderConfig
"""What a reward can be read from."""
