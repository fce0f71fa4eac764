import pytest


@pytest.fixture(autouse=True)
def no_debug_nans(allow_nans):
    """jax_debug_nans switches donation off, which is part of what is tested here."""
