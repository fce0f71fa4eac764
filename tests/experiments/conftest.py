"""What all toy runs have in common."""

import pytest

from tests.experiments import resamples


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        resamples.draw_few(patch.setattr)
        yield
