"""Gains and offloads of examples, by hand and against a walk over single uses."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign import serving
from jaxalign.serving import gain as gains
from tests.serving.tables import new_examples


@pytest.fixture(scope="module")
def table():
    return serving.insert_examples(serving.init_table(4, capacity=4), new_examples(3, hours=[0, 0, 2]))[0]


def use(table, ids, qualities, costs, offloaded, time):
    arrays = (np.asarray(values, dtype) for values, dtype in ((ids, np.int32), (qualities, np.float32)))
    return serving.record_uses(table, *arrays, np.asarray(costs, np.float32), np.asarray(offloaded, bool), time)


def test_by_hand(table):
    """Example 0: (1 - .2) * .5 + (1 - .6) * 1 = .8; two hours later times .81."""
    table = use(table, [0, -1, 0, 1], [0.2, 0, 0.6, 1], [0.5, 1, 1, 1], [True, True, False, True], 2.0)
    np.testing.assert_allclose(serving.gains_at(table, 2.0), [0.8, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(serving.gains_at(table, 4.0), [0.8 * 0.81, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(serving.offloads_at(table, 3.0), [0.9, 0.9, 0, 0], atol=1e-6)
    table = use(table, [0], [0.0], [1.0], [True], 4.0)
    np.testing.assert_allclose(serving.gains_at(table, 4.0), [0.8 * 0.81 + 1, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(serving.offloads_at(table, 4.0), [0.81 + 1, 0.81, 0, 0], atol=1e-6)
    assert table.updated.tolist() == [4, 2, 2, 0]


def test_uses_that_do_not_count_change_nothing(table, allow_nans):
    after = use(table, [3, -1, 40], [0, 0, 0], [1, 1, 1], [True] * 3, 9.0)  # free, none, behind the table
    assert all(np.array_equal(old, new) for old, new in zip(table, after, strict=True))
    after = use(table, [0, 0], [np.nan, 0.5], [1, 1], [True, True], 1.0)
    assert serving.gains_at(after, 1.0)[0] == 0.5 and serving.offloads_at(after, 1.0)[0] == 2


USES = st.lists(st.tuples(st.integers(-1, 3), st.floats(0, 1), st.floats(0, 1), st.booleans()), min_size=4, max_size=4)


@given(uses=USES, times=st.lists(st.integers(0, 6), min_size=2, max_size=2))
@settings(max_examples=30)
def test_any_order_equals_a_walk(table, uses, times):
    """Each use counts 0.9 to the hours that have passed, whatever is reported first."""
    after = table
    for half, time in zip((uses[:2], uses[2:]), times, strict=True):
        after = use(after, *zip(*half, strict=True), float(time))
    gains, offloads = np.zeros(4), np.zeros(4)
    for (row, quality, cost, offloaded), time in zip(uses, np.repeat(times, 2), strict=True):
        if 0 <= row < 3:
            gains[row] += (1 - quality) * cost * 0.9 ** (8 - time)
            offloads[row] += offloaded * 0.9 ** (8 - time)
    np.testing.assert_allclose(serving.gains_at(after, 8.0), gains, atol=1e-5)
    np.testing.assert_allclose(serving.offloads_at(after, 8.0), offloads, atol=1e-5)


def test_one_program_and_no_copy_of_embeddings(table):
    before = gains._add_uses._cache_size()
    for time in (1.0, 2.0, 3.0):
        after = use(table, [0, 1, -1, 2, 2], [0] * 5, [1] * 5, [True] * 5, time)
    assert gains._add_uses._cache_size() == before + 1
    assert after.requests is table.requests
    assert jnp.isfinite(after.gain).all()
