"""What all toy runs have in common."""

import pytest

from tests.experiments import plain_figures, resamples, two_devices


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        resamples.draw_few(patch.setattr)
        yield


@pytest.fixture(scope="module", autouse=True)
def figures_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        plain_figures.draw_plainly(patch.setattr)
        yield


@pytest.fixture(scope="module", autouse=True)
def few_devices():
    """Tests of LiPO have all eight."""
    with pytest.MonkeyPatch.context() as patch:
        two_devices.lay_out(patch.setattr)
        yield
