"""Rows of numbers as directions."""

import numpy as np
from jaxtyping import Float, Real


def unit_rows(vectors: Real[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Divides each row by its norm, in float32; a row of zeros stays one."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
