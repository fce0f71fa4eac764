"""A store that is opened when it can be."""

import pytest

from jaxalign.io.serve.store import late
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import Store, StoreError


def test_it_is_opened_once_it_can_be(tmp_path, monkeypatch):
    tries = []

    def open_fn():
        tries.append(None)
        if len(tries) < 3:
            raise StoreError("not yet")
        return open_store("sqlite", tmp_path)

    store = LateStore(open_fn)
    assert isinstance(store, Store) and not tries
    for _ in range(3):  # it is not tried again at once
        with pytest.raises(StoreError, match="not yet"):
            store.born()
    assert len(tries) == 1
    monkeypatch.setattr(late, "PAUSE_SECONDS", 0.0)
    store._again = 0.0
    with pytest.raises(StoreError, match="not yet"):
        store.identify("acme", "ann", scope="")
    assert store.identify("acme", "ann", scope="").tenant == 1 and store.tenants() == {1: "acme"}
    assert len(tries) == 3
    store.close()
    with pytest.raises(StoreError):
        store.born()


def test_one_that_was_never_opened_is_closed(tmp_path):
    store = LateStore(lambda: open_store("sqlite", tmp_path))
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.born()
    assert not list(tmp_path.iterdir())
