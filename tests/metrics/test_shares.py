import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from jaxalign import metrics

UNIFORM = {name: 1 for name in "abcdefgh"}


def distributions(seed, size=5, values=6):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(values, 0.5), (2, size))
    p[0, :3], q[0, 2:] = 0, 0  # shares of 0 in either, and in both
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)


def test_shares_by_hand():
    table = metrics.attribute_shares(["b", None, "a", "b", "c", "c", "b"], expected=["z", "a"])
    assert table.values == ("z", "a", "b", "c")
    assert table.counts.tolist() == [0, 1, 3, 2]
    np.testing.assert_allclose(table.shares, [0, 1 / 6, 3 / 6, 2 / 6])
    assert table.unknown == 1


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_intervals_equal_scipy(level):
    values = ["a"] * 1 + ["b"] * 9 + ["c"] * 40
    table = metrics.attribute_shares(values, expected=["z"], level=level)
    for count, low, high in zip(table.counts, table.low, table.high, strict=True):
        expected = scipy.stats.binomtest(int(count), 50).proportion_ci(level, method="wilson")
        np.testing.assert_allclose((low, high), expected, atol=1e-12)


def test_nothing_known():
    table = metrics.attribute_shares([None, None], expected=["a", "b"])
    assert (table.counts.tolist(), table.unknown) == ([0, 0], 2)
    assert (table.shares.tolist(), table.low.tolist(), table.high.tolist()) == ([0, 0], [0, 0], [1, 1])
    empty = metrics.attribute_shares([])
    assert empty.values == () and empty.shares.shape == (0,)
    with pytest.raises(ValueError, match="one document or more with a known value, got none and 2 unknown ones"):
        metrics.distance_to_reference(table, UNIFORM)


def test_bad_shares():
    with pytest.raises(ValueError, match=r"expected: each value once, got \['a', 'a'\]"):
        metrics.attribute_shares(["a"], expected=["a", "a"])
    for level in 0.0, 1.0, 95.0:
        with pytest.raises(ValueError, match="level: expected a probability between 0 and 1"):
            metrics.attribute_shares(["a"], level=level)


def test_entropy_by_hand():
    # Two of four values, equally often: one bit of two.
    assert metrics.normalized_entropy(np.array([3, 3, 0, 0])) == 0.5
    assert metrics.normalized_entropy(np.array([7, 7, 7])) == pytest.approx(1)
    assert metrics.normalized_entropy(np.array([9, 0])) == 0
    assert metrics.normalized_entropy(np.array([9])) == 0
    assert metrics.normalized_entropy(np.zeros(3)) == 0


def test_entropy_equals_scipy():
    counts = np.random.default_rng(0).integers(0, 5, (4, 7))
    expected = scipy.stats.entropy(counts, axis=-1) / np.log(7)
    np.testing.assert_allclose(metrics.normalized_entropy(counts), expected, rtol=1e-12)


def test_distances_by_hand():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5])
    assert metrics.total_variation(p, q) == 0.5
    # Half of each distribution differs wholly from the other's half: a divergence of one half bit.
    assert metrics.jensen_shannon_distance(p, q) == pytest.approx(np.sqrt(0.5))


def test_distances_equal_scipy():
    p, q = distributions(1)
    expected = [scipy.spatial.distance.jensenshannon(*pair, base=2) for pair in zip(p, q, strict=True)]
    np.testing.assert_allclose(metrics.jensen_shannon_distance(p, q), expected, rtol=1e-9)
    expected = [scipy.spatial.distance.cityblock(*pair) / 2 for pair in zip(p, q, strict=True)]
    np.testing.assert_allclose(metrics.total_variation(p, q), expected, rtol=1e-12)


@pytest.mark.parametrize("distance", [metrics.total_variation, metrics.jensen_shannon_distance])
def test_distances_are_distances(distance):
    (p, q), (r, _) = distributions(2, 200), distributions(3, 200)
    assert np.all(distance(p, r) <= distance(p, q) + distance(q, r) + 1e-12)
    np.testing.assert_allclose(distance(p, q), distance(q, p))
    np.testing.assert_allclose(distance(p, p), 0, atol=1e-7)
    assert distance(np.eye(2)[0], np.eye(2)[1]) == 1


def test_distance_to_reference_by_hand():
    # .75 a, .25 b against a third each of a, c and d: a has 5/12 too much, b 1/4, and c and d lack a third each.
    table = metrics.attribute_shares(["a"] * 75 + ["b"] * 25 + [None])
    found = metrics.distance_to_reference(table, {"a": 10, "c": 10, "d": 10})
    assert found.distance == pytest.approx(2 / 3) and found.documents == 100
    # r: a's count scatters with a deviation of sqrt(100 * .75 * .25) = 4.33, and 1.96 of these are 8.5 documents.
    assert found.high - found.distance == pytest.approx(0.085, abs=0.011)
    assert found.distance - found.low == pytest.approx(found.high - found.distance)


def test_a_reference_may_be_shares_or_counts():
    table = metrics.attribute_shares(["a", "a", "b"])
    assert metrics.distance_to_reference(table, {"a": 2, "b": 1}).distance == pytest.approx(0, abs=1e-12)
    shares, counts = {"a": 0.25, "b": 0.75}, {"b": 300, "a": 100}
    assert metrics.distance_to_reference(table, shares) == metrics.distance_to_reference(table, counts)
    assert metrics.distance_to_reference(table, shares, seed=1).distance == pytest.approx(5 / 12)


@pytest.mark.parametrize("distance", [metrics.total_variation, metrics.jensen_shannon_distance])
@pytest.mark.parametrize("skew", [0.0, 0.1, 0.5])
def test_intervals_cover(distance, skew):
    """At a skew of 0 a percentile bootstrap covers never: its resamples are all further off than the truth."""
    rng = np.random.default_rng(4)
    uniform = np.full(8, 1 / 8)
    source = (1 - skew) * uniform + skew * np.eye(8)[0]
    covered = 0
    for seed in range(60):
        values = rng.choice(list(UNIFORM), 200, p=source).tolist()
        table = metrics.attribute_shares(values, expected=list(UNIFORM))
        found = metrics.distance_to_reference(table, UNIFORM, distance_fn=distance, num_resamples=300, seed=seed)
        covered += found.low <= float(distance(source, uniform)) <= found.high
        # What is far from uniform is seen to be.
        assert skew < 0.5 or found.low > 0.2
    assert covered >= 54  # of 60: the smallest number that 95 % give with probability .97 or more


def test_bad_references():
    table = metrics.attribute_shares(["a"])
    for reference in {}, {"a": -1.0, "b": 2.0}, {"a": 0}, {"a": float("nan")}:
        with pytest.raises(ValueError, match="reference: expected shares or counts"):
            metrics.distance_to_reference(table, reference)
    with pytest.raises(ValueError, match="level: expected"):
        metrics.distance_to_reference(table, {"a": 1}, level=0.0)
