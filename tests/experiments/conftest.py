"""What all toy runs have in common."""

import functools

import pytest

from jaxalign import metrics


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Intervals of toy runs need not be good, and 10,000 resamples take longer than the toys' steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "bootstrap_interval", functools.partial(metrics.bootstrap_interval, num_resamples=20))
        yield
