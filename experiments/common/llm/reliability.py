"""Whether probabilities mean what they say, as a figure and as a line."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import metrics
from jaxalign.io.report import Estimate

Values = Sequence[float] | np.ndarray
RESAMPLES = 1000


def calibration_error(probabilities: Values, outcomes: Values) -> Estimate:
    """The expected calibration error of ``[N]`` in 10 bins; its interval is of resamples, biased upwards as it is."""
    drawn = jax.random.randint(jax.random.key(0), (RESAMPLES, len(outcomes)), 0, len(outcomes))
    values = jnp.asarray(probabilities, jnp.float32), jnp.asarray(outcomes, jnp.float32)
    low, high = jnp.quantile(_errors(*(each[drawn] for each in values)), jnp.array([0.025, 0.975]))
    return Estimate(float(_errors(*(each[None] for each in values))[0]), float(low), float(high))


def reliability_curve(probabilities: Values, outcomes: Values) -> tuple[np.ndarray, np.ndarray]:
    """The mean probability and the mean outcome in each bin that has entries."""
    table = metrics.reliability_table(*(jnp.asarray(each, jnp.float32) for each in (probabilities, outcomes)))
    filled = np.asarray(table.count) > 0
    return np.asarray(table.mean_probability)[filled], np.asarray(table.mean_outcome)[filled]


@jax.jit
def _errors(probabilities, outcomes):
    def one(p, outcome):
        return metrics.expected_calibration_error(metrics.reliability_table(p, outcome))

    return jax.vmap(one)(probabilities, outcomes)
