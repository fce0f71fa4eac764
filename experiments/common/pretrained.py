"""Learning rates of a pretrained start, which falls apart at those of a model from scratch.

They are usual rates of AdamW, lower for whole models than for adapters; no run here has tuned them. Tried: SmolLM2-135M
fine-tuned at 3e-3, the rate of a decoder from scratch, has its loss up from 2.98 to 3.61 after two steps.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from experiments.common import fields
from jaxalign import models
from jaxalign.io import hf

RATES = {"imitation": (2e-5, 2e-4), "alignment": (5e-6, 5e-5), "reward": (1e-5, 1e-4)}
"""Peak rates of all parameters and of an adapter, by what is learnt."""
ENCODER = 1e-4
"""That of an encoder with a head, for instance MiniLM: small ones take more."""


class Rates(NamedTuple):
    """The field of an experiment that names a pretrained start, and what its rates are then."""

    field: str
    of: Callable[[Any], Mapping[str, float]]
    """``of(config)``: the rate of each field that has one."""


def rate(kind: Literal["imitation", "alignment", "reward"], *, adapter: bool) -> float:
    """Returns the usual peak rate of a pretrained decoder.

    Args:
      kind: what it learns.
      adapter: whether low-rank adapters are trained instead of all parameters.
    """
    return RATES[kind][adapter]


def reward_rate(backbone: str) -> float:
    """Returns the usual peak rate of a reward model on a pretrained backbone, all parameters being trained.

    Args:
      backbone: a Hugging Face directory or hub id.
    """
    is_encoder = isinstance(hf.read_config(hf.resolve(backbone)), models.EncoderConfig)
    return ENCODER if is_encoder else rate("reward", adapter=False)


def defaults(preset: Any, config: Any, rates: Rates | None) -> Any:
    """Returns the preset as a config that names a pretrained start wants it: rates as low as such a start takes.

    A preset that names a start itself has rates for it.

    Args:
      preset: the preset whose flags were given.
      config: what came of them.
      rates: those of the experiment; None for one that knows no such start.
    """
    if rates is None or fields.flat(preset)[rates.field] or not fields.flat(config)[rates.field]:
        return preset
    before = fields.flat(preset)
    return fields.replace(preset, **{name: min(before[name], value) for name, value in rates.of(config).items()})
