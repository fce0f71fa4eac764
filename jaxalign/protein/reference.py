"""Weights of the authors' HeMeNet code (torch), taken into ours.

Names are those of a flat dictionary of arrays: ``element_embedding``, ``type_embedding``, ``relation_embedding``;
``layer0/message_mlp_0_weight`` and so on for each layer, ``layer_norm0/weight``; ``readout/query_weight`` and so on
with ``prompts``, for one readout. Linear weights are torch's, ``[outputs, inputs]``.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign.protein.config import HemenetConfig

_LAYER = {
    "message_0": "message_mlp_0",
    "message_1": "message_mlp_2",
    "coordinates_0": "coord_mlp_0",
    "coordinates_1": "coord_mlp_2",
    "mix": "hetero_linear",
}
_READOUT = {
    "query": "query",
    "key": "key",
    "value": "value",
    "mlp_0": "linear_0",
    "mlp_1": "linear_2",
    "first_gate": "linear1",
    "second_gate": "linear2",
}


def from_reference(arrays: Mapping[str, np.ndarray]) -> tuple[HemenetConfig, dict]:
    """Returns the encoder's config, for the authors' numbers, and its variables, in the dtype of the arrays.

    Args:
      arrays: the authors' weights by name: ``element_embedding``, ``type_embedding``, ``relation_embedding``;
        ``layer0/message_mlp_0_weight`` and so on for each layer, ``layer_norm0/weight``. Linear weights are torch's,
        ``[outputs, inputs]``. Those of a readout are passed over.

    Raises:
      ValueError: an array is missing or none of the model's.
    """
    used: set[str] = set()
    take = _taker(arrays, used)
    num_layers = len({name for name in arrays if name.endswith("/w_r")})
    types, relations = take("type_embedding"), take("relation_embedding")
    params = {
        "elements": take("element_embedding"),
        "relations": relations,
        "nodes": {"types": {"embedding": types}},
    }
    stats = {}
    for number in range(num_layers):
        params[f"layer_{number}"], stats[f"layer_{number}"] = _layer(take, number)
    channels = params["layer_0"]["coordinates_1"]["kernel"].shape[1]
    _check_all_used(arrays, used, skip=("readout/", "prompts"))
    config = HemenetConfig(
        num_layers=num_layers,
        width=types.shape[1],
        edge_width=relations.shape[1],
        num_channels=channels,
        num_relations=len(relations),
        reference_eps=True,
    )
    return config, jax.tree.map(jnp.asarray, {"params": params, "batch_stats": stats})


def readout_from_reference(arrays: Mapping[str, np.ndarray]) -> dict:
    """Returns variables of a :class:`~jaxalign.protein.TaskReadout` from the authors' weights.

    Args:
      arrays: by name: ``prompts``, ``readout/query_weight`` and so on, as torch has them.

    Raises:
      ValueError: an array is missing, or a name in ``readout/`` is none of the readout's.
    """
    used: set[str] = set()
    take = _taker(arrays, used)
    params = {ours: _dense(take, f"readout/{theirs}") for ours, theirs in _READOUT.items()}
    params["first_norm"] = _norm(take, "readout/layernorm1_")
    params["second_norm"] = _norm(take, "readout/layernorm2_")
    params["prompts"] = take("prompts")[0]
    _check_all_used({name: 0 for name in arrays if name.startswith("readout/")}, used)
    return jax.tree.map(jnp.asarray, {"params": params})


def _layer(take, number: int) -> tuple[dict, dict]:
    of = lambda name: f"layer{number}/{name}"  # noqa: E731
    params = {ours: _dense(take, of(theirs)) for ours, theirs in _LAYER.items()}
    kernel = take(of("radial_linear_weight"))
    width = kernel.shape[0]
    params |= {
        # Of the flattened [F, F] matrix, row by row.
        "relation_kernel": kernel.T.reshape(width, width, width),
        "relation_bias": take(of("radial_linear_bias")),
        "relation_weights": take(of("w_r"))[:, 0],
        "batch_norm": _norm(take, of("batch_norm_")),
        "layer_norm": _norm(take, f"layer_norm{number}/"),
    }
    stats = {"mean": take(of("batch_norm_running_mean")), "var": take(of("batch_norm_running_var"))}
    return params, {"batch_norm": stats}


def _dense(take, name: str) -> dict:
    dense = {"kernel": take(f"{name}_weight").T}
    if (bias := take(f"{name}_bias", optional=True)) is not None:
        dense["bias"] = bias
    return dense


def _norm(take, prefix: str) -> dict:
    return {"scale": take(f"{prefix}weight"), "bias": take(f"{prefix}bias")}


def _taker(arrays, used):
    def take(name: str, *, optional: bool = False):
        if name not in arrays:
            if optional:
                return None
            raise ValueError(f"no array {name!r}; there are {', '.join(sorted(arrays))}")
        used.add(name)
        return np.asarray(arrays[name])

    return take


def _check_all_used(arrays, used: set[str], skip: tuple[str, ...] = ()) -> None:
    if unknown := sorted(name for name in arrays if name not in used and not name.startswith(skip or "/")):
        raise ValueError(f"arrays that no parameter takes: {', '.join(unknown)}")
