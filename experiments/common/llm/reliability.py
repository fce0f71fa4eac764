"""Calibration: whether probabilities mean what they say, as a figure and as a line."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common.report import reliability_line
from jaxalign import metrics
from jaxalign.io.report import Estimate

Values = Sequence[float] | np.ndarray
RESAMPLES = 1000


def calibration_error(probabilities: np.ndarray, outcomes: np.ndarray, where: np.ndarray) -> Estimate:
    """Computes the expected calibration error of ``[N]`` in 10 bins; the interval is of resamples, biased upwards."""
    values = np.asarray(probabilities, np.float32), np.asarray(outcomes, np.float32), np.asarray(where)
    return Estimate(*(float(number) for number in _calibration_error(*values)))


def reliability_curve(probabilities: Values, outcomes: Values) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean probability and the mean outcome in each bin that has entries."""
    return reliability_line(
        metrics.reliability_table(*(jnp.asarray(each, jnp.float32) for each in (probabilities, outcomes)))
    )


@jax.jit
def _calibration_error(probabilities: Array, outcomes: Array, where: Array) -> tuple[Array, Array, Array]:
    def error(chosen: Array) -> Array:
        table = metrics.reliability_table(probabilities[chosen], outcomes[chosen], where=where[chosen])
        return metrics.expected_calibration_error(table)

    count = len(probabilities)
    resamples = jax.random.randint(jax.random.key(0), (RESAMPLES, count), 0, count)
    low, high = jnp.quantile(jax.vmap(error)(resamples), jnp.array([0.025, 0.975]))
    return error(jnp.arange(count)), low, high
