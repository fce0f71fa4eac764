"""Parts that a family's config.json is made of: each a function from its keys to fields and one back.

``keys`` is config.json with the family's defaults filled in, ``model_type`` included; fields are those of the family's
config, such as :class:`~jaxalign.models.DecoderConfig`. Keys of transformers 5 are
written; those of older releases are read as well.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxalign.models import NetworkConfig

ACTIVATIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}  # theirs: ours
BERT_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
WINDOWED, FULL = "sliding_attention", "full_attention"


class Part(NamedTuple):
    """``read(keys) -> fields`` and ``write(config) -> keys``."""

    names: tuple[str, ...]  # the keys that are read, older spellings included
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    write: Callable[[NetworkConfig], dict[str, Any]]


def take(keys: Mapping[str, Any], name: str) -> Any:
    """A value that may be null but not absent."""
    if name not in keys:
        raise ValueError(f"config.json of a {keys['model_type']} model lacks {name!r}, which has no default; add it")
    return keys[name]


def refuse(keys: Mapping[str, Any], name: str, value: Any, expected: str) -> ValueError:
    """The error for a value that the model has no field for."""
    return ValueError(f"config.json of a {keys['model_type']} model has {name} = {value!r}; expected {expected}")


def copied(**fields: str) -> Part:
    """Keys that hold what a field holds."""
    return Part(
        tuple(fields),
        lambda keys: {field: take(keys, key) for key, field in fields.items()},
        lambda config: {key: getattr(config, field) for key, field in fields.items()},
    )


def reals(**fields: str) -> Part:
    """Keys that hold a number or null; JSON's 30 and 30.0 are the same."""

    def read(keys):
        values = {field: take(keys, key) for key, field in fields.items()}
        for key, field in fields.items():
            if isinstance(values[field], bool) or not isinstance(values[field], int | float | None):
                raise refuse(keys, key, values[field], "a number")
        return {field: None if value is None else float(value) for field, value in values.items()}

    return Part(tuple(fields), read, copied(**fields).write)


def must_be(key: str, *values: Any) -> Part:
    """A key that must be absent or hold one of ``values``, since the model has no field for it."""

    def read(keys):
        if key in keys and keys[key] not in values:
            raise refuse(keys, key, keys[key], f"one of {values}: nothing else is implemented")
        return {}

    return Part((key,), read, lambda config: {})


def _read_sizes(keys):
    names = {"vocab_size": "vocab_size", "width": "hidden_size", "mlp_width": "intermediate_size"}
    names |= {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads"}
    names |= {"max_length": "max_position_embeddings"}
    sizes = {field: _count(keys, key, take(keys, key)) for field, key in names.items()}
    others = {"num_kv_heads": "num_key_value_heads", "head_dim": "head_dim"}
    usual = {"num_kv_heads": sizes["num_heads"], "head_dim": sizes["width"] // sizes["num_heads"]}
    return sizes | {field: _count(keys, key, keys.get(key) or usual[field]) for field, key in others.items()}


def _count(keys, name, value):
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise refuse(keys, name, value, "a whole number above 0")
    return int(value)


def _write_sizes(config):
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_length,
    }


SIZES = Part(
    (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
    ),
    _read_sizes,
    _write_sizes,
)


def activation(key: str, known: Mapping[str, str] = ACTIVATIONS) -> Part:
    """The MLP's nonlinearity; of several names for one, the last is written."""
    names = {ours: theirs for theirs, ours in known.items()}

    def read(keys):
        name = take(keys, key)
        if name not in known:
            raise refuse(keys, key, name, f"one of {list(known)}")
        return {"activation": known[name]}

    return Part((key,), read, lambda config: {key: names[config.activation]})


def _write_query_scale(config):
    scale = config.head_dim**-0.5 if config.query_scale is None else config.query_scale
    # The key is an integer to transformers, so a scale that is not n ** -0.5 does not survive, which export checks.
    return {"query_pre_attn_scalar": max(1, round(scale**-2))}


QUERY_SCALE = Part(
    ("query_pre_attn_scalar",),
    lambda keys: {"query_scale": take(keys, "query_pre_attn_scalar") ** -0.5},
    _write_query_scale,
)


def _write_one_window(config):
    return {"sliding_window": config.window if all(config.layer_windows) else None}


ONE_WINDOW = Part(("sliding_window",), lambda keys: {"window": take(keys, "sliding_window")}, _write_one_window)
"""Mistral: every layer has the window, or none."""


def _read_layer_types(keys, window, default_types):
    types = keys.get("layer_types") or default_types(keys)
    unknown = set(types) - {WINDOWED, FULL}
    if unknown:
        raise refuse(keys, "layer_types", sorted(unknown), f"{WINDOWED!r} or {FULL!r} for each layer")
    windowed = tuple(kind == WINDOWED and window is not None for kind in types)
    return {"window": window if any(windowed) else None, "windowed_layers": windowed}


def _layer_types(config):
    return [WINDOWED if windowed else FULL for windowed in config.layer_windows]


def every_nth_full(pattern: int) -> Part:
    """Gemma: each layer has the window but every ``pattern``-th (``sliding_window_pattern``, where older files say)."""

    def default_types(keys):
        period = keys.get("sliding_window_pattern") or pattern
        return [WINDOWED if (layer + 1) % period else FULL for layer in range(keys["num_hidden_layers"])]

    def write(config):
        # transformers wants a number here even where no layer uses it.
        return {"layer_types": _layer_types(config), "sliding_window": config.window or config.max_length}

    names = ("layer_types", "sliding_window", "sliding_window_pattern", "_sliding_window_pattern")
    return Part(names, lambda keys: _read_layer_types(keys, take(keys, "sliding_window"), default_types), write)


def _read_upper_windows(keys):
    def default_types(keys):
        first = keys["max_window_layers"]
        return [WINDOWED if layer >= first else FULL for layer in range(keys["num_hidden_layers"])]

    return _read_layer_types(keys, keys["sliding_window"] if keys["use_sliding_window"] else None, default_types)


def _write_upper_windows(config):
    types = _layer_types(config)
    return {
        "layer_types": types,
        "use_sliding_window": WINDOWED in types,
        "sliding_window": config.window if WINDOWED in types else None,
        "max_window_layers": types.index(WINDOWED) if WINDOWED in types else config.num_layers,
    }


UPPER_WINDOWS = Part(
    ("layer_types", "use_sliding_window", "sliding_window", "max_window_layers"),
    _read_upper_windows,
    _write_upper_windows,
)
"""Qwen: layers from ``max_window_layers`` up have the window, if ``use_sliding_window``."""

T5_DECODER_LAYERS = Part(
    ("num_decoder_layers",),
    lambda keys: {"num_decoder_layers": keys.get("num_decoder_layers") or take(keys, "num_layers")},
    copied(num_decoder_layers="num_decoder_layers").write,
)
"""The number of decoder layers, which is that of the encoder where a file does not say."""

# In transformers T5's gated "gelu" is the tanh form, and its plain one is not.
T5_MLPS = {
    "relu": ("relu", False),
    "gelu_new": ("gelu_tanh", False),
    "silu": ("silu", False),
    "gated-relu": ("relu", True),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
}


def _read_t5_mlp(keys):
    name = take(keys, "feed_forward_proj")
    if name not in T5_MLPS:
        raise refuse(keys, "feed_forward_proj", name, f"one of {list(T5_MLPS)}")
    return dict(zip(("activation", "gated_mlp"), T5_MLPS[name], strict=True))


def _write_t5_mlp(config):
    names = {ours: theirs for theirs, ours in T5_MLPS.items()}
    return {"feed_forward_proj": names[config.activation, config.gated_mlp]}


T5_MLP = Part(("feed_forward_proj",), _read_t5_mlp, _write_t5_mlp)


def _read_t5_output(keys):
    tied = keys["tie_word_embeddings"] is not False
    return {"tied_embeddings": tied, "output_scale": bool(keys.get("scale_decoder_outputs", tied))}


T5_OUTPUT = Part(
    ("tie_word_embeddings", "scale_decoder_outputs"),
    _read_t5_output,
    lambda config: {"tie_word_embeddings": config.tied_embeddings, "scale_decoder_outputs": config.output_scale},
)
"""T5 scales what it multiplies with tied embeddings; transformers 5 has a key of its own for that."""


def _read_start(keys):
    start = keys.get("decoder_start_token_id")
    return {"start_id": int(take(keys, "pad_token_id") if start is None else start)}


T5_START = Part(("decoder_start_token_id",), _read_start, lambda config: {"decoder_start_token_id": config.start_id})
"""T5 begins with its padding token where a file does not say."""
