"""jaxalign: preference alignment in JAX and Flax.

Subpackages load on first use, so ``import jaxalign`` costs nothing and ``from jaxalign import losses`` needs only jax.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "attributes",
        "augment",
        "data",
        "ensemble",
        "files",
        "io",
        "judge",
        "losses",
        "metrics",
        "models",
        "numerics",
        "planning",
        "prompting",
        "protein",
        "sampling",
        "serving",
        "sharding",
        "taxonomy",
        "training",
        "typing",
    ],
)
