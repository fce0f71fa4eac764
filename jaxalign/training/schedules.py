"""Learning-rate schedules of one signature: linear warmup to ``peak``, then what the name says.

``peak`` is the highest rate, ``num_steps`` the length of the run, ``warmup_steps`` how many steps rise to the peak: the
rate of step i is ``peak * (i + 1) / warmup_steps`` there, so that the first step already learns.
"""

import jax.numpy as jnp
import optax


def constant_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Warmup, then ``peak``."""
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: jnp.ones_like(progress))


def linear_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Warmup, then a straight line to 0 at ``num_steps``."""
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: 1 - progress)


def cosine_schedule(peak: float, *, num_steps: int, warmup_steps: int = 0) -> optax.Schedule:
    """Warmup, then half a cosine to 0 at ``num_steps`` (Loshchilov and Hutter, arXiv 1608.03983, without restarts)."""
    return _with_warmup(peak, num_steps, warmup_steps, lambda progress: (1 + jnp.cos(jnp.pi * progress)) / 2)


def _with_warmup(peak: float, num_steps: int, warmup_steps: int, decay) -> optax.Schedule:
    if not 0 <= warmup_steps < num_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be at least 0 and less than num_steps={num_steps}")

    def rate(count):
        rise = (count + 1) / max(warmup_steps, 1)
        progress = jnp.clip((count - warmup_steps) / (num_steps - warmup_steps), 0, 1)
        return peak * jnp.where(count < warmup_steps, rise, decay(progress))

    return rate
