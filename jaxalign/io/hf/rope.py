"""Rotary positions in config.json: ``rope_parameters`` in transformers 5, ``rope_theta`` and ``rope_scaling`` once."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxalign.io.hf.parts import FULL, WINDOWED, Part, refuse
from jaxalign.models import RopeScaling

KINDS = ("default", "linear", "llama3", "dynamic", "yarn", "longrope")
RESCALED = ("llama3", "yarn", "longrope")  # they know the length of pretraining
ALONE = ("rope_scaling", "rope_parameters")  # places of a dict for all layers
KNOWN = {
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
}


class _Entry(NamedTuple):
    """One dict of parameters, and what errors about it say."""

    keys: Mapping[str, Any]  # config.json
    place: str  # where the dict is in it
    values: Mapping[str, Any]

    @property
    def kind(self) -> Any:
        return self.values.get("rope_type", self.values.get("type", "default"))

    def number(self, name: str, expected: str = "a positive number") -> float:
        """A field that must be there."""
        if name not in self.values:
            raise refuse(self.keys, self.place, dict(self.values), f"a {name!r}, which rope_type {self.kind!r} needs")
        return self.check(name, self.values[name], expected)

    def optional(self, name: str, default: float | None) -> float | None:
        """A field that may be absent or null."""
        value = self.values.get(name)
        return default if value is None else self.check(name, value)

    def check(self, name: str, value: Any, expected: str = "a positive number") -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.refuse(name, value, expected)
        return float(value)

    def refuse(self, name: str, value: Any, expected: str) -> ValueError:
        return refuse(self.keys, f"{self.place}[{name!r}]", value, expected)


def _entry(keys: Mapping[str, Any], place: str, values: Any) -> _Entry:
    if not isinstance(values, Mapping):
        raise refuse(keys, place, values, "a dict of rotary parameters, such as {'rope_type': 'default'}")
    entry = _Entry(keys, place, values)
    if entry.kind not in KINDS:
        raise entry.refuse(
            "rope_type", entry.kind, f"one of {', '.join(map(repr, KINDS))}: nothing else is implemented"
        )
    if not set(values) <= KNOWN:
        raise refuse(keys, place, sorted(set(values) - KNOWN), f"only keys of {sorted(KNOWN)}")
    partial = values.get("partial_rotary_factor", keys.get("partial_rotary_factor"))
    if partial not in (None, 1) and entry.kind != "default":  # with which transformers rotates complete heads
        raise entry.refuse("partial_rotary_factor", partial, "1: heads are rotated whole")
    return entry


def _parse(entry: _Entry, default_base: Any) -> tuple[float, RopeScaling | None]:
    """``(base, scaling)`` of one dict of parameters."""
    base = entry.check("rope_theta", entry.values.get("rope_theta", default_base))
    return base, None if entry.kind == "default" else SCALINGS[entry.kind](entry)


def _linear(entry):
    return RopeScaling("linear", entry.number("factor"))


def _dynamic(entry):
    return RopeScaling("dynamic", entry.number("factor"), original_max_length=_max_length(entry.keys))


def _llama3(entry):
    low, high = entry.number("low_freq_factor"), entry.number("high_freq_factor")
    if high <= low:
        raise entry.refuse("high_freq_factor", high, f"more than 'low_freq_factor', which is {low}")
    return RopeScaling(
        "llama3",
        entry.number("factor"),
        low_frequency_factor=low,
        high_frequency_factor=high,
        original_max_length=_original_length(entry),
    )


def _yarn(entry):
    original, truncate = _original_length(entry), entry.values.get("truncate", True)
    if not isinstance(truncate, bool):
        raise entry.refuse("truncate", truncate, "true or false")
    if not truncate and entry.place not in ALONE:
        raise entry.refuse("truncate", truncate, "true: transformers does not read it by kind of layer")
    factor = _factor(entry, original)
    return RopeScaling(
        "yarn",
        factor,
        original_max_length=original,
        beta_fast=entry.optional("beta_fast", 32.0),
        beta_slow=entry.optional("beta_slow", 1.0),
        truncate=truncate,
        attention_factor=entry.optional("attention_factor", _mscale(entry, factor)),
    )


def _longrope(entry):
    original = _original_length(entry)
    # transformers' own default is the ratio of the two lengths, so the field may be absent.
    factor = _factor(entry, original) if "factor" in entry.values else _max_length(entry.keys) / original
    return RopeScaling(
        "longrope",
        factor,
        original_max_length=original,
        attention_factor=entry.optional("attention_factor", None),
        short_factors=_factors(entry, "short_factor"),
        long_factors=_factors(entry, "long_factor"),
    )


SCALINGS: Mapping[str, Callable[[_Entry], RopeScaling]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}


def _max_length(keys) -> int:
    return int(keys["max_position_embeddings"])


def _original_length(entry: _Entry) -> int:
    """A key beside the dict goes before the one in it, as in transformers; where both are silent, nothing was added."""
    keys, name = entry.keys, "original_max_position_embeddings"
    if entry.place in ALONE and name in keys:
        entry = entry._replace(place="config.json", values=keys)
    value = entry.values.get(name, keys["max_position_embeddings"])
    number = entry.check(name, value, "a whole number of tokens")
    if number != int(number):
        raise entry.refuse(name, value, "a whole number of tokens")
    return int(number)


def _factor(entry: _Entry, original: int) -> float:
    """A null one is the ratio of the lengths."""
    if "factor" in entry.values and entry.values["factor"] is None:
        return _max_length(entry.keys) / original
    return entry.number("factor")


def _mscale(entry: _Entry, factor: float) -> float | None:
    """DeepSeek's factor of cosines and sines, where a file has both of its fields."""
    if not (entry.values.get("mscale") and entry.values.get("mscale_all_dim")):
        return None
    if factor <= 1:
        return 1.0
    above, below = (0.1 * entry.number(name) * math.log(factor) + 1 for name in ("mscale", "mscale_all_dim"))
    return above / below


def _factors(entry: _Entry, name: str) -> tuple[float, ...]:
    value = entry.values.get(name)
    if not isinstance(value, list | tuple) or not value:
        raise entry.refuse(name, value, "a list of positive numbers, one for each frequency")
    return tuple(entry.check(name, each, "positive numbers only") for each in value)


def _render(base: float, scaling: RopeScaling | None) -> dict[str, Any]:
    if scaling is None:
        return {"rope_type": "default", "rope_theta": base}
    parameters = {"rope_type": scaling.kind, "rope_theta": base, "factor": scaling.factor}
    if scaling.kind in RESCALED:
        parameters["original_max_position_embeddings"] = scaling.original_max_length
    if scaling.attention_factor is not None:
        parameters["attention_factor"] = scaling.attention_factor
    if scaling.kind == "llama3":
        parameters["low_freq_factor"] = scaling.low_frequency_factor
        parameters["high_freq_factor"] = scaling.high_frequency_factor
    if scaling.kind == "yarn":
        parameters |= {name: getattr(scaling, name) for name in ("beta_fast", "beta_slow", "truncate")}
    if scaling.kind == "longrope":
        parameters |= {"short_factor": list(scaling.short_factors), "long_factor": list(scaling.long_factors)}
    return parameters


def _read_one(keys):
    place = "rope_scaling" if keys.get("rope_scaling") else "rope_parameters"
    entry = _entry(keys, place, keys.get(place) or {})
    base, scaling = _parse(entry, keys.get("rope_theta", 10_000.0))
    return {"rope_base": base, "rope_scaling": scaling}


ONE_ROPE = Part(
    ("rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"),
    _read_one,
    lambda config: {"rope_parameters": _render(config.rope_base, config.rope_scaling)},
)
"""The same rotation in every layer."""


def _read_by_layer(keys):
    parameters = keys.get("rope_parameters") or {}
    if not isinstance(parameters, Mapping) or not set(parameters) <= {FULL, WINDOWED}:
        raise refuse(keys, "rope_parameters", parameters, f"one dict for {FULL!r} and one for {WINDOWED!r}")
    added = _entry(keys, "rope_scaling", keys.get("rope_scaling") or {}).values  # for the layers that see everything
    far, near = (
        _parse(_entry(keys, f"rope_parameters[{kind!r}]", {**(parameters.get(kind) or {}), **more}), base)
        for kind, more, base in (
            (FULL, added, keys.get("rope_theta", 1_000_000.0)),
            (WINDOWED, {}, keys.get("rope_local_base_freq", 10_000.0)),
        )
    )
    if near != far and near[1] is not None:
        raise refuse(keys, f"rope_parameters[{WINDOWED!r}]", parameters[WINDOWED], f"no scaling, or that of {FULL!r}")
    return {"rope_base": far[0], "rope_scaling": far[1], "local_rope_base": None if near == far else near[0]}


def _write_by_layer(config):
    far = _render(config.rope_base, config.rope_scaling)
    near = far if config.local_rope_base is None else _render(config.local_rope_base, None)
    return {"rope_parameters": {FULL: far, WINDOWED: near}}


ROPE_BY_LAYER = Part(
    ("rope_parameters", "rope_scaling", "rope_theta", "rope_local_base_freq", "partial_rotary_factor"),
    _read_by_layer,
    _write_by_layer,
)
"""Gemma 3: windowed layers have a base of their own."""
