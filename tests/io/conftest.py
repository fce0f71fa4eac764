import pytest

from jaxalign.io.llm import runs
from tests.io.llm import chat_server


@pytest.fixture(autouse=True)
def no_debug_nans(allow_nans):
    """jax_debug_nans switches donation off, which is part of what is tested here."""


@pytest.fixture
def server(monkeypatch):
    """A language model's server, reached without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with chat_server.serving() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that would have been waited between attempts."""
    waited = []
    monkeypatch.setattr(runs, "_pause", lambda seconds, ended: waited.append(seconds))
    return waited
