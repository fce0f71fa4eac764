import pytest


def test_nothing_is_in_use_at_first(store):
    assert store.current_policy() is None and store.list_policies() == []


def test_versions(store):
    store.save_policy("one", b"\x00\xff", {"regret": 0.5})
    store.save_policy("two", b"2", {})
    store.save_policy("one", b"other", {"regret": 9})  # stays
    assert store.current_policy() is None
    store.choose_policy("two")
    store.choose_policy("one")
    assert store.current_policy() == ("one", b"\x00\xff")
    assert store.read_policy("two") == b"2"
    found = store.list_policies()
    assert [(each.name, each.note, each.current) for each in found] == [
        ("one", {"regret": 0.5}, True),
        ("two", {}, False),
    ]
    assert store.born() <= found[0].created <= found[1].created
    assert [change.kind for change in store.changes(0)] == ["policy", "policy"]


def test_an_unknown_version_is_an_error_and_changes_nothing(store):
    store.save_policy("one", b"1", {})
    store.choose_policy("one")
    with pytest.raises(KeyError, match="list_policies"):
        store.choose_policy("two")
    with pytest.raises(KeyError, match="list_policies"):
        store.read_policy("two")
    assert store.current_policy() == ("one", b"1") and len(store.changes(0)) == 1
