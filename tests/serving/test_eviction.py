"""Which examples stay: greedy choices against exact ones by scipy's integer programming."""

import numpy as np
import pytest
from scipy import optimize

from jaxalign import serving
from tests.serving.tables import new_examples


def exact_value(values, sizes, capacity):
    """The value of the best choice; milp minimises."""
    result = optimize.milp(
        -values, integrality=np.ones(len(values)), bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(sizes[None], ub=capacity), options={"mip_rel_gap": 1e-4},
    )  # fmt: skip
    assert result.success
    return -result.fun


def keep(values, sizes, capacity):
    kept = serving.keep_greedily(values.astype(np.float32), sizes.astype(np.float32), float(capacity))
    kept = np.asarray(kept)
    assert sizes[kept].sum() <= capacity
    return kept


def walk(values, sizes, capacity):
    """One item at a time, by falling density."""
    kept = np.zeros(len(values), bool)
    for item in np.argsort(-values / sizes, kind="stable"):
        kept[item] = sizes[kept].sum() + sizes[item] <= capacity
    return kept


def test_small_instances_reach_half_of_the_exact_value():
    """120 random instances of whole numbers, where all sums are exact; also never worse than the plain walk."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(120):
        values, sizes = rng.integers(0, 20, 8).astype(float), rng.integers(1, 30, 8).astype(float)
        capacity = float(rng.integers(1, 100))
        kept, best = keep(values, sizes, capacity), exact_value(values, sizes, capacity)
        assert values[kept].sum() >= values[walk(values, sizes, capacity)].sum()
        if best > 0:
            shares.append(values[kept].sum() / best)
    assert min(shares) >= 0.5 and np.mean(shares) > 0.95 and len(shares) > 100


@pytest.mark.parametrize("seed", range(3))
def test_realistic_instances_reach_nearly_the_exact_value(seed):
    """Texts of some hundred bytes to 20 kB beside vectors of 3 kB, offloads that are mostly few, half of the bytes."""
    rng = np.random.default_rng(seed)
    sizes = np.round(rng.lognormal(7, 1, 256) + 3072)
    values = rng.gamma(0.5, 2.0, 256).astype(np.float32).astype(float)
    kept = keep(values, sizes, capacity := round(sizes.sum() / 2))
    assert values[kept].sum() >= 0.95 * exact_value(values, sizes, capacity)
    assert np.array_equal(kept, walk(values, sizes, capacity))


def test_one_large_item_is_worth_more_than_a_dense_small_one():
    assert keep(np.array([2.0, 100]), np.array([1.0, 100]), 100).tolist() == [False, True]


def test_zeros():
    values, sizes = np.array([0.0, 0, 5, 1]), np.array([0.0, 3, 2, 0])
    assert keep(values, sizes, 5).tolist() == [True] * 4
    assert keep(values, sizes, 4).tolist() == [True, False, True, True]
    assert keep(values, sizes, 0).tolist() == [True, False, False, True]
    assert keep(np.zeros(3), np.ones(3), 2).tolist() == [True, True, False]


def test_examples_with_fewest_offloads_go():
    table, _ = serving.insert_examples(serving.init_table(4, capacity=8), new_examples(4, hours=[0, 0, 0, 9]))
    offloads = np.array([3, 1, 2, 0, 0, 0, 0, 0], np.float32)
    table = table._replace(offloads=offloads)
    assert serving.evict_examples(table, 400, 0.0).tolist() == []
    assert serving.evict_examples(table, 399, 0.0).tolist() == [3]
    assert serving.evict_examples(table, 200, 0.0).tolist() == [1, 3]
    assert serving.evict_examples(table, 0, 0.0).tolist() == [0, 1, 2, 3]


def test_values_are_those_of_the_time_and_new_ones_go_last():
    table, _ = serving.insert_examples(serving.init_table(4, capacity=8), new_examples(4, hours=[0, 10, 2, 1]))
    table = table._replace(offloads=np.array([2, 1] + [0] * 6, np.float32))
    assert serving.evict_examples(table, 100, 10.0).tolist() == [0, 2, 3]  # 2 * .9^10 = .7
    assert serving.evict_examples(table, 300, 10.0).tolist() == [3]  # neither brought any; 3 is older than 2


def test_the_bound_holds_to_the_byte():
    """float32 tells bytes up to 16 MB: sums of a thousand odd numbers near 2^24 are rounded."""
    sizes = np.full(1000, 2**24 - 1.0)
    table, _ = serving.insert_examples(serving.init_table(1, capacity=1024), new_examples(1000, width=1, size=sizes))
    for capacity in (500 * (2**24 - 1), 500 * (2**24 - 1) - 1):
        gone = serving.evict_examples(table, capacity, 0.0)
        assert sizes.sum() - sizes[gone].sum() <= capacity and 500 <= len(gone) <= 502
    with pytest.raises(ValueError, match="capacity_bytes: expected 0 or more bytes, got -1"):
        serving.evict_examples(table, -1, 0.0)
