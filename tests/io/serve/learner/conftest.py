"""Small tables, whose programs other tests have compiled."""

import pytest

from jaxalign.io.serve.worker import view


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    monkeypatch.setattr(view, "LEAST_ROWS", 1024)
