"""jaxalign: preference alignment in JAX and Flax.

Subpackages load on first use, so ``import jaxalign`` costs nothing and ``from jaxalign import losses`` needs only jax.
"""

import importlib

__version__ = "0.1.0"

_SUBPACKAGES = (
    "augment",
    "data",
    "ensemble",
    "io",
    "judge",
    "losses",
    "metrics",
    "models",
    "numerics",
    "prompting",
    "protein",
    "sampling",
    "sharding",
    "training",
    "typing",
)


def __getattr__(name: str):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBPACKAGES])
