"""What cost and load take off a model's score."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike


def update_load(average: Float[Array, ""], load: ScalarLike, elapsed: ScalarLike, *, half_life: float):
    r"""Updates the exponential moving average of the load, which is sampled at uneven times.

    .. math:: a \leftarrow w a + (1 - w)\,x, \quad w = 2^{-t / h}

    Args:
      average: :math:`a`, before this observation.
      load: :math:`x`, for instance requests in service and waiting, divided by the slots of the servers.
      elapsed: :math:`t`, the time since the last observation, in the unit of ``half_life``.
      half_life: :math:`h`, the time after which an observation counts half.

    >>> print(update_load(jnp.float32(0.0), 1.0, 10.0, half_life=10.0))
    0.5
    """
    weight = jnp.exp(-math.log(2) * jnp.asarray(elapsed, jnp.float32) / half_life)
    return weight * average + (1 - weight) * load


def cost_penalties(
    costs: Float[Array, "M"],
    load: Float[Array, ""],
    *,
    cost_weight: float,
    load_weight: float,
    steepness: float = 1.0,
    threshold: float = 0.8,
) -> Float[Array, "M"]:
    r"""Computes what each model's score is lowered by.

    .. math:: p_m = \big(w + \lambda_0 \tanh(\gamma \max(0, a - \tau))\big)\, C_m

    Args:
      costs: :math:`C`, ``[M]``, normalised costs in [0, 1], 1 for the dearest model.
      load: :math:`a`, the moving average from :func:`update_load`.
      cost_weight: :math:`w`, how much quality, in [0, 1], a cost of 1 has to bring at rest *(ours)*.
      load_weight: :math:`\lambda_0`; 0 is a router that does not see the load.
      steepness: :math:`\gamma`.
      threshold: :math:`\tau`, the load up to which nothing is taken off.

    Returns:
      ``[M]``, on the scale of quality.

    >>> print(cost_penalties(jnp.array([0.1, 1.0]), jnp.float32(0.5), cost_weight=0.2, load_weight=3.0))
    [0.02 0.2 ]

    Source: EchoLM (arXiv 2501.12689), the load-aware bias of the request router.
    """
    return (cost_weight + load_weight * jnp.tanh(steepness * jnp.maximum(0, load - threshold))) * costs
