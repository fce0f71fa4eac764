"""Logical axes of every parameter, by name: what ``jaxalign.sharding.Rules`` maps onto a mesh.

Parameters under ``layers`` carry the stacked layer axis in front of these.
"""

LOGICAL_AXES: dict[str, tuple[str, ...]] = {
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
}
