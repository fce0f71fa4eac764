"""Rows of examples: inserted, used again, grown, forgotten."""

import jax
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import table as tables
from tests.serving.tables import new_examples, on_host


def test_fields_stand_in_the_row_of_the_id():
    rows = new_examples(3, partition=[1, 1, 2], user=[7, 8, 7], size=[1, 2, 3], quality=[0, 0.5, 1], hours=[4, 5, 6])
    table, ids = serving.insert_examples(serving.init_table(4, capacity=8), rows)
    assert ids.tolist() == [0, 1, 2] and ids.dtype == np.int32
    table = on_host(table)
    assert table.live.tolist() == [True] * 3 + [False] * 5
    for name in ("partition", "user", "size", "tokens", "quality", "cost"):
        assert getattr(table, name)[:3].tolist() == getattr(rows, name).tolist(), name
    assert table.updated[:3].tolist() == [4, 5, 6]
    np.testing.assert_allclose(table.requests[0], rows.requests[0] / np.linalg.norm(rows.requests[0]), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(table.responses[:3], axis=-1), 1, rtol=1e-6)
    assert not any(np.any(field[3:]) for field in table)


def test_rows_are_used_again_and_capacity_doubles():
    table, _ = serving.insert_examples(serving.init_table(4, capacity=4), new_examples(4, user=[1, 2, 3, 4]))
    table = serving.forget_examples(table, np.array([1, 3]))
    table, ids = serving.insert_examples(table, new_examples(1, user=5))
    assert ids.tolist() == [1] and table.live.shape == (4,)
    table, ids = serving.insert_examples(table, new_examples(6, user=6, seed=1))
    assert ids.tolist() == [3, 4, 5, 6, 7, 8] and table.live.shape == (16,)  # 8 rows have room for 5 of the 6
    table = on_host(table)
    assert table.user[:9].tolist() == [1, 5, 3, 6, 6, 6, 6, 6, 6] and int(table.live.sum()) == 9


def test_nothing_of_a_forgotten_example_stays():
    first, second = new_examples(2, user=1), new_examples(2, user=2, seed=1)
    table, _ = serving.insert_examples(serving.init_table(4, capacity=4), first)
    alone = serving.insert_examples(serving.init_table(4, capacity=4), second)[0]
    table, ids = serving.insert_examples(table, second)
    table = serving.forget_examples(table, np.array([0, -1, 1, 1], np.int32))
    for field, other in zip(on_host(table), on_host(alone), strict=True):
        assert not np.any(field[:2]) and np.array_equal(field[2:], other[:2])
    assert ids.tolist() == [2, 3]


def test_users_are_those_of_one_partition():
    table, _ = serving.insert_examples(serving.init_table(4, capacity=4), new_examples(4, partition=[0, 1, 0, 0]))
    assert serving.ids_of_user(table, 0, 0).tolist() == [0, 2, 3]  # not the free rows, which hold zeros
    assert serving.ids_of_user(table, 1, 0).tolist() == [1] and serving.ids_of_user(table, 2, 0).size == 0
    assert serving.ids_of_user(serving.forget_examples(table, np.array([0])), 0, 0).tolist() == [2, 3]


def facts(**fields):
    """What changes of two examples."""
    values = {"size": 5, "tokens": 6, "quality": 0.25, "gain": 1.5, "offloads": 2.5, "updated": 3.5, "replays": 4}
    whole = ("tokens", "replays")
    columns = {name: np.full(2, value, np.int32 if name in whole else np.float32) for name, value in values.items()}
    return serving.ExampleFacts(**columns | fields)


def test_facts_are_set_of_those_that_are_there():
    before, _ = serving.insert_examples(serving.init_table(4, capacity=4), new_examples(3))
    table = on_host(serving.update_facts(before, np.array([1, 3], np.int32), facts(size=np.array([7.0, 8.0]))))
    before = on_host(before)
    for name, value in facts(size=np.array([7.0, 8.0]))._asdict().items():
        assert getattr(table, name).tolist()[1] == value[0], name
        assert np.delete(getattr(table, name), 1).tolist() == np.delete(getattr(before, name), 1).tolist(), name
    for name in set(table._fields) - set(serving.ExampleFacts._fields):
        assert np.array_equal(getattr(table, name), getattr(before, name)), name


def test_responses_are_replaced_of_those_that_are_there():
    before, _ = serving.insert_examples(serving.init_table(2, capacity=4), new_examples(2, width=2))
    table = serving.replace_responses(before, np.array([-1, 1, 2]), np.array([[1.0, 1], [3, 4], [5, 5]]))
    assert np.allclose(table.responses[1], [0.6, 0.8]) and not np.any(table.responses[2:])
    assert np.array_equal(table.responses[0], before.responses[0]) and table.requests is before.requests


def test_wrong_facts_are_refused():
    table = serving.init_table(4, capacity=4)
    with pytest.raises(ValueError, match="quality of example 1 is 2.0; expected a finite number"):
        serving.update_facts(table, np.array([0, 1]), facts(quality=np.array([0.5, 2.0])))
    with pytest.raises(ValueError, match="as many rows in each field"):
        serving.update_facts(table, np.array([0]), facts())


def test_one_program_for_each_bucket():
    table = serving.init_table(5, capacity=64)
    before = tables._write._cache_size(), tables._clear._cache_size()
    for count in (5, 6, 7, 8):
        table, ids = serving.insert_examples(table, new_examples(count, width=5))
        table = serving.forget_examples(table, ids)
    assert tables._write._cache_size() == before[0] + 1 and tables._clear._cache_size() == before[1] + 1
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(table))


def test_there_may_be_no_rows():
    table, ids = serving.insert_examples(serving.init_table(4, capacity=1), new_examples(0))
    assert ids.shape == (0,) and not table.live.any()
    assert not serving.forget_examples(table, np.zeros(0, np.int32)).live.any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quality": [0.5, 1.5]}, r"quality of new example 1 is 1.5; expected a finite number in \[0, 1\]"),
        ({"cost": [float("nan"), 0]}, "cost of new example 0 is nan"),
        ({"user": [0, -1]}, "user of new example 1 is -1"),
        ({"hours": [0, float("inf")]}, "hours of new example 1"),
        ({"requests": np.zeros((2, 4), np.float32)}, "requests: expected finite numbers that are not all 0"),
        ({"responses": np.ones((2, 3), np.float32)}, r"responses: expected \[N, 4\], got \[2, 3\]"),
        ({"requests": np.ones((1, 4), np.float32)}, "as many rows in each field"),
    ],
)
def test_wrong_examples_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        serving.insert_examples(serving.init_table(4, capacity=4), new_examples(2, **fields))


def test_wrong_ids_and_sizes_are_refused():
    with pytest.raises(ValueError, match="example 4 cannot be forgotten: the table has 4 rows"):
        serving.forget_examples(serving.init_table(4, capacity=4), np.array([4]))
    with pytest.raises(ValueError, match="at least 1, got 4 and 0"):
        serving.init_table(4, capacity=0)
