"""Logical axes of every parameter, by name: what ``jaxalign.sharding.Rules`` maps onto a mesh.

Parameters under ``layers`` carry the stacked layer axis in front of these.
"""

from jaxalign.sharding.rules import STACK

INPUT_AXES: dict[str, int] = {
    "query": 1,
    "key": 1,
    "value": 1,
    "output": 2,
    "gate": 1,
    "up": 1,
    "down": 1,
    "unembedding": 1,
    "pooler": 1,
}
"""The linear maps, and how many of a map's leading axes are inputs; the others are outputs."""

LOGICAL_AXES: dict[str, tuple[str | None, ...]] = {
    "embedding": ("vocab", "embed"),
    "position_embedding": ("position", "embed"),
    "token_type_embedding": ("token_type", "embed"),
    "relative_bias": ("bucket", "heads"),
    "unembedding": ("embed", "vocab"),
    "query": ("embed", "heads", "head_dim"),
    "key": ("embed", "kv_heads", "head_dim"),
    "value": ("embed", "kv_heads", "head_dim"),
    "output": ("heads", "head_dim", "embed"),
    "query_bias": ("heads", "head_dim"),
    "key_bias": ("kv_heads", "head_dim"),
    "value_bias": ("kv_heads", "head_dim"),
    "output_bias": ("norm",),
    "gate": ("embed", "mlp"),
    "up": ("embed", "mlp"),
    "down": ("mlp", "embed"),
    "gate_bias": ("mlp",),
    "up_bias": ("mlp",),
    "down_bias": ("norm",),
    "scale": ("norm",),
    "bias": ("norm",),
    "pooler": ("embed", "pooled"),
    "pooler_bias": ("norm",),
    "reward": ("embed", "score"),
    "reward_bias": ("score",),
    "classes": ("embed", "class"),
    "classes_bias": ("class",),
    "interaction": ("embed", "class_embed"),
    "class_embeddings": ("class", "class_embed"),
}

# An adapter's factors lie as their map does, with the rank replicated; magnitudes and gains lie as the map's bias.
for _name, _inputs in INPUT_AXES.items():
    _axes = LOGICAL_AXES[_name]
    LOGICAL_AXES |= {f"{_name}_lora_a": (*_axes[:_inputs], None), f"{_name}_lora_b": (None, *_axes[_inputs:])}
    if f"{_name}_bias" in LOGICAL_AXES:
        LOGICAL_AXES |= dict.fromkeys((f"{_name}_magnitude", f"{_name}_gain"), LOGICAL_AXES[f"{_name}_bias"])


def split_shape(path: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The stacked layer axis (or nothing), the inputs and the outputs of the map at ``path``."""
    name = path.rpartition("/")[2]
    stack = len(shape) - len(LOGICAL_AXES[name])
    outputs = stack + INPUT_AXES[name]
    return shape[:stack], shape[stack:outputs], shape[outputs:]


def is_map(path: str) -> bool:
    """Whether the parameter at ``path`` is a linear map."""
    return path.rpartition("/")[2] in INPUT_AXES


def is_stacked(path: str) -> bool:
    """Whether the parameter at ``path`` is one of the layers'."""
    return STACK in path.split("/")[:-1]
