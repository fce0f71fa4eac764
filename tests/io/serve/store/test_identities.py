import concurrent.futures

import pytest

from jaxalign.io.serve.store.rows import SHARED
from jaxalign.io.serve.store.texts import LONGEST_NAME
from tests.io.serve.store import made


def test_the_same_names_have_the_same_numbers(store):
    first = store.identify("a", "u", "s")
    assert store.identify("a", "u", "s") == first
    assert first.tenant > 0 and first.user > 0 and first.partition != first.shared


def test_a_user_is_of_its_tenant(store):
    a, b = store.identify("a", "u", "s"), store.identify("b", "u", "s")
    assert a.tenant != b.tenant and a.user != b.user and a.partition != b.partition
    assert a.shared == b.shared  # the pool's partition with this scope


def test_another_scope_is_another_partition_of_the_same_user(store):
    one, other = store.identify("a", "u", "s"), store.identify("a", "u", "t")
    assert one[:2] == other[:2] and not {one.partition, one.shared} & {other.partition, other.shared}


def test_tenants_have_names(store):
    numbers = {store.identify(name, "u", "s").tenant: name for name in ("a", "b", "ä'\"; DROP TABLE users; --")}
    assert store.tenants() == numbers and SHARED not in numbers


def test_many_at_once_agree(store):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [("a", f"user{number % 5}", f"scope{number % 2}") for number in range(40)]
        found = list(pool.map(lambda names: store.identify(*names), asked))
    assert len(set(found)) == 10 and {store.identify(*names) for names in asked} == set(found)
    assert len({each.tenant for each in found}) == 1


@pytest.mark.parametrize("name", ["x" * (LONGEST_NAME + 1), "a\0", "\ud800"])
@pytest.mark.parametrize("place_of_name", range(3))
def test_a_name_that_cannot_be_kept_is_refused(store, name, place_of_name):
    """Replaced, it could be another's."""
    names = ["a", "u", "s"]
    names[place_of_name] = name
    with pytest.raises(ValueError, match="expected a name"):
        store.identify(*names)


def test_the_longest_names_are_kept(store):
    longest = "\U0001f600" * LONGEST_NAME  # 2,048 bytes
    assert store.identify(longest, longest, longest) == store.identify(longest, longest, longest)
    assert made.add(store, store.identify(longest, longest, longest), "x") == [1]
