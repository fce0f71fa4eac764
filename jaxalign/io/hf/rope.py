"""Rotary positions in config.json: ``rope_parameters`` in transformers 5, ``rope_theta`` and ``rope_scaling`` once."""

from jaxalign.io.hf.parts import FULL, WINDOWED, Part, refuse
from jaxalign.models import RopeScaling

KNOWN = {
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
}


def _parse(keys, parameters, default_base):
    """``(base, scaling)`` of one dict of parameters."""
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind not in ("default", "linear", "llama3"):
        raise refuse(keys, "rope_type", kind, "'default', 'linear' or 'llama3': no other scaling is implemented")
    if not set(parameters) <= KNOWN:
        raise refuse(keys, "rope_parameters", sorted(set(parameters) - KNOWN), f"only keys of {sorted(KNOWN)}")
    base = float(parameters.get("rope_theta") or default_base)
    if kind == "default":
        return base, None
    if "factor" not in parameters:
        raise refuse(keys, "rope_parameters", parameters, f"a 'factor', which rope_type {kind!r} needs")
    if kind == "linear":
        return base, RopeScaling("linear", float(parameters["factor"]))
    return base, RopeScaling(
        "llama3",
        factor=float(parameters["factor"]),
        low_frequency_factor=float(parameters["low_freq_factor"]),
        high_frequency_factor=float(parameters["high_freq_factor"]),
        original_max_length=int(parameters.get("original_max_position_embeddings") or keys["max_position_embeddings"]),
    )


def _render(base, scaling):
    if scaling is None:
        return {"rope_type": "default", "rope_theta": base}
    if scaling.kind == "linear":
        return {"rope_type": "linear", "rope_theta": base, "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "rope_theta": base,
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_frequency_factor,
        "high_freq_factor": scaling.high_frequency_factor,
        "original_max_position_embeddings": scaling.original_max_length,
    }


def _read_one(keys):
    parameters = keys.get("rope_scaling") or keys.get("rope_parameters") or {}
    base, scaling = _parse(keys, parameters, keys.get("rope_theta") or 10_000.0)
    return {"rope_base": base, "rope_scaling": scaling}


ONE_ROPE = Part(_read_one, lambda config: {"rope_parameters": _render(config.rope_base, config.rope_scaling)})
"""The same rotation in every layer."""


def _read_by_layer(keys):
    parameters = keys.get("rope_parameters") or {}
    if not set(parameters) <= {FULL, WINDOWED}:
        raise refuse(keys, "rope_parameters", parameters, f"one dict for {FULL!r} and one for {WINDOWED!r}")
    full = (parameters.get(FULL) or {}) | (keys.get("rope_scaling") or {})
    far = _parse(keys, full, keys.get("rope_theta") or 1_000_000.0)
    near = _parse(keys, parameters.get(WINDOWED) or {}, keys.get("rope_local_base_freq") or 10_000.0)
    if near != far and near[1] is not None:
        raise refuse(keys, f"rope_parameters[{WINDOWED!r}]", parameters[WINDOWED], f"no scaling, or that of {FULL!r}")
    return {"rope_base": far[0], "rope_scaling": far[1], "local_rope_base": None if near == far else near[0]}


def _write_by_layer(config):
    far = _render(config.rope_base, config.rope_scaling)
    near = far if config.local_rope_base is None else _render(config.local_rope_base, None)
    return {"rope_parameters": {FULL: far, WINDOWED: near}}


ROPE_BY_LAYER = Part(_read_by_layer, _write_by_layer)
"""Gemma 3: windowed layers have a base of their own."""
