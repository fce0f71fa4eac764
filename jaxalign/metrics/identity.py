"""A metric within nested bins: test proteins below 30 % sequence identity to the training set, below 40 %, and so on.

Bins are cumulative, as in DeepFRI's test files and the tables made from them: a protein below 30 % is below 95 % too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

IDENTITY_BINS = ("<30%", "<40%", "<50%", "<70%", "<95%")
"""The columns of DeepFRI's files of test proteins."""


def within_identity(
    metric: Callable[..., Any],
    *arrays: Shaped[Array, "proteins ..."] | Shaped[np.ndarray, "proteins ..."],
    below: Bool[Array, "proteins bins"] | Bool[np.ndarray, "proteins bins"],
    where: Bool[Array, "proteins"] | Bool[np.ndarray, "proteins"] | None = None,
    names: Sequence[str] = IDENTITY_BINS,
) -> dict[str, Any]:
    """Returns ``metric(*arrays, where=...)`` of the proteins in each bin, by the bin's name.

    Args:
      metric: takes ``where [proteins]``, as the classification metrics do and, for one number per protein, the
        regression metrics. Shapes stay the same from bin to bin: it compiles once.
      arrays: ``[proteins, ...]``, what the metric takes.
      below: ``[proteins, bins]``, True where a protein is in a bin.
      where: ``[proteins]``, False for proteins that count in no bin, None counts all.
      names: one for each bin.

    Raises:
      ValueError: if there is not one name per bin and one row per protein.

    >>> from jaxalign.metrics.regression import rmse
    >>> below = jnp.array([[True, True], [False, True]])
    >>> bins = within_identity(rmse, jnp.array([1.0, 2.0]), jnp.zeros(2), below=below, names=("<30%", "<95%"))
    >>> print({name: round(float(value), 4) for name, value in bins.items()})
    {'<30%': 1.0, '<95%': 1.5811}
    """
    if below.shape != (len(arrays[0]), len(names)):
        raise ValueError(
            f"expected below of shape [proteins, bins] = {(len(arrays[0]), len(names))} for the bins {tuple(names)}, "
            f"got {below.shape}; pass names for other bins"
        )
    masks = jnp.asarray(below if where is None else below & where[:, None])
    return {name: metric(*arrays, where=masks[:, column]) for column, name in enumerate(names)}
