"""For toy runs, here and in other processes: intervals need not be good, and take longer than the toys' steps."""

import functools

from experiments.common.llm import reliability
from jaxalign import metrics


def draw_few(set_fn):
    """Intervals are of 20 resamples instead of 10,000 or 1,000."""
    set_fn(reliability, "RESAMPLES", 20)
    set_fn(metrics, "bootstrap_interval", functools.partial(metrics.bootstrap_interval, num_resamples=20))
