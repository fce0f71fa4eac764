"""Learning-rate schedules of one signature: linear warmup to a peak, then what the name says."""

import jax.numpy as jnp
import optax


def constant_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Makes a schedule that rises to its peak and stays there.

    Args:
      peak: the highest rate.
      num_steps: the length of the run.
      warmup_steps: steps that rise to the peak, step i having ``peak * (i + 1) / warmup_steps``, so that the first step
        already learns; at least 0 and less than ``num_steps``.

    Returns:
      ``schedule(step) -> rate``, steps counted from 0.

    Raises:
      ValueError: ``warmup_steps`` is out of its range.
    """
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: jnp.ones_like(progress))


def linear_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Makes a schedule that rises to its peak and falls along a straight line to 0 at ``num_steps``.

    Args:
      peak: the highest rate.
      num_steps: the length of the run.
      warmup_steps: steps that rise to the peak, step i having ``peak * (i + 1) / warmup_steps``, so that the first step
        already learns; at least 0 and less than ``num_steps``.

    Returns:
      ``schedule(step) -> rate``, steps counted from 0.

    Raises:
      ValueError: ``warmup_steps`` is out of its range.
    """
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: 1 - progress)


def cosine_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Makes a schedule that rises to its peak and falls along half a cosine to 0 at ``num_steps``.

    Args:
      peak: the highest rate.
      num_steps: the length of the run.
      warmup_steps: steps that rise to the peak, step i having ``peak * (i + 1) / warmup_steps``, so that the first step
        already learns; at least 0 and less than ``num_steps``.

    Returns:
      ``schedule(step) -> rate``, steps counted from 0.

    Raises:
      ValueError: ``warmup_steps`` is out of its range.

    Source: SGDR (arXiv 1608.03983), equation 5 without restarts.
    """
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: (1 + jnp.cos(jnp.pi * progress)) / 2)


def _with_warmup(peak: float, num_steps: int, warmup_steps: int, decay) -> optax.Schedule:
    if not 0 <= warmup_steps < num_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be at least 0 and less than num_steps={num_steps}")

    def rate(count):
        rise = (count + 1) / max(warmup_steps, 1)
        progress = jnp.clip((count - warmup_steps) / (num_steps - warmup_steps), 0, 1)
        return peak * jnp.where(count < warmup_steps, rise, decay(progress))

    return rate
