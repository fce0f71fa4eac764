"""Ranks and alphas of single modules: peft's ``rank_pattern`` and ``alpha_pattern``, and those of a ``LoraConfig``.

Theirs map patterns of module names to values, ours the ends of paths to a value or one for each layer.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jaxalign.io.hf.tensors import Slot
from jaxalign.models import LoraConfig

FIELDS = {"rank_pattern": ("r", int), "alpha_pattern": ("lora_alpha", float)}


def write(lora: LoraConfig, adapted: Mapping[str, Slot], modules: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Both patterns of peft.

    Args:
      adapted: the modules that the adapter changes, and a tensor of each.
      modules: all of the base's.
    """
    layers = {
        path: 1 + max(slot.layer or 0 for slot in adapted.values() if slot.path == path) for path in _paths(adapted)
    }
    written = {}
    for field, default, values_of in (
        ("rank_pattern", lora.rank, lora.ranks),
        ("alpha_pattern", lora.alpha, lora.alphas),
    ):
        pattern = written[field] = {}
        for path in _paths(adapted):
            names = [name for name, slot in adapted.items() if slot.path == path]
            stack = () if adapted[names[0]].layer is None else (layers[path],)
            values = values_of(path, stack).reshape(-1).tolist()
            if set(values) == {default}:
                continue
            if len(set(values)) == 1:
                pattern |= dict.fromkeys(ends(names, modules, "."), values[0])
            else:
                pattern |= {
                    name: values[adapted[name].layer] for name in names if values[adapted[name].layer] != default
                }
    return written


def read(
    keys: Mapping[str, Any], adapted: Mapping[str, Slot], every_map: Iterable[str]
) -> dict[str, tuple[tuple[str, Any], ...]]:
    """Both patterns of a :class:`LoraConfig`, from adapter_config.json.

    Raises:
      ValueError: a pattern is not one, or a value no number that fits.
    """
    found = {}
    for field, (name, kind) in FIELDS.items():
        pattern, default = _checked(field, keys.get(field) or {}, kind), kind(keys[name])
        entries = []
        for path in _paths(adapted):
            modules = sorted((slot.layer or 0, module) for module, slot in adapted.items() if slot.path == path)
            values = tuple(_value(pattern, module, default) for _, module in modules)
            if set(values) != {default}:
                entries.append((ends([path], every_map, "/")[0], values[0] if len(set(values)) == 1 else values))
        found[field] = tuple(entries)
    return found


def _paths(adapted: Mapping[str, Slot]) -> list[str]:
    return sorted({slot.path for slot in adapted.values()})


def _value(pattern: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that fits the end of the name, as peft looks it up."""
    return next((value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _checked(field: str, pattern: Any, kind: type) -> dict[str, Any]:
    if not isinstance(pattern, Mapping):
        raise ValueError(f"adapter_config.json has {field} = {pattern!r}; expected an object of names and numbers")
    for key, value in pattern.items():
        fits = isinstance(value, int) or (kind is float and isinstance(value, float))
        if isinstance(value, bool) or not fits or value <= 0:
            expected = "a whole number above 0" if kind is int else "a number above 0"
            raise ValueError(f"adapter_config.json has {field}[{key!r}] = {value!r}; expected {expected}")
        try:
            re.compile(key)
        except re.error as error:
            raise ValueError(f"adapter_config.json has {field}[{key!r}], which is no pattern: {error}") from error
    return {key: kind(value) for key, value in pattern.items()}


def ends(names: Iterable[str], everything: Iterable[str], separator: str) -> list[str]:
    """The shortest ends that fit all of ``names`` and nothing else of ``everything``."""
    names, found = set(names), set()
    others = [separator + other for other in everything if other not in names]
    for name in names:
        parts = name.split(separator)
        candidates = (separator.join(parts[start:]) for start in reversed(range(len(parts))))
        found.add(next((end for end in candidates if not any(o.endswith(separator + end) for o in others)), name))
    return sorted(found)
