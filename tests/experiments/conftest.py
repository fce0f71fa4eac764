import pytest

from experiments.common import machines


@pytest.fixture(autouse=True)
def as_nothing_was_typed(monkeypatch):
    """A command line that one test reads is not that of the next one in the same process."""
    monkeypatch.setattr(machines, "_sizes", machines.Machines().mesh)
    monkeypatch.setattr(machines, "_preset", None)
