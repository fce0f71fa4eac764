"""Every test of the battery runs on both stores."""

import pytest

from jaxalign.io.serve.store.opening import open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """URL and folder of a new store."""
    return (request.getfixturevalue("database") if request.param == "postgresql" else "sqlite"), tmp_path


@pytest.fixture
def store(place):
    store = open_store(*place)
    yield store
    store.close()
