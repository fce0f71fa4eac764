import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from jaxalign import metrics


def test_preference_accuracy_by_hand():
    # Right, wrong, right (the second is better), tied, a tie in the target, and a masked one: (1 + 0 + 1 + 0.5) / 4.
    first = jnp.array([2.0, 1.0, 1.0, 3.0, 9.0, 9.0])
    second = jnp.array([1.0, 2.0, 2.0, 3.0, 0.0, 0.0])
    target = jnp.array([1.0, 0.8, 0.0, 1.0, 0.5, 1.0])
    where = jnp.array([True] * 5 + [False])
    assert metrics.preference_accuracy_metric(first, second, target, where=where) == (2.5, 4.0)


def test_probability_is_a_score_against_one_half():
    probabilities, target = jnp.array([0.9, 0.2, 0.5]), jnp.array([1.0, 1.0, 1.0])
    assert metrics.preference_accuracy_metric(probabilities, jnp.full(3, 0.5), target) == (1.5, 3.0)


def test_preference_accuracy_does_not_depend_on_the_sides():
    first, second, target = jax.random.normal(jax.random.key(0), (3, 100)).round(1)
    target = jax.nn.sigmoid(target)
    ours = metrics.preference_accuracy_metric(first, second, target)
    np.testing.assert_array_equal(ours, metrics.preference_accuracy_metric(second, first, 1 - target))
    # Written down a second time: a tie of scores has the sign 0.
    agrees = np.sign(np.array(first) - np.array(second)) * np.sign(np.array(target) - 0.5)
    counted = np.array(target) != 0.5
    np.testing.assert_allclose(ours, ((0.5 + 0.5 * agrees)[counted].sum(), counted.sum()))


def test_longer_wins_by_hand():
    # Longer and better, longer and worse, and two of equal length, on which the rule is silent.
    lengths, others = jnp.array([9, 9, 5]), jnp.array([3, 3, 5])
    assert metrics.longer_wins_metric(lengths, others, jnp.array([1.0, 0.0, 1.0])) == (1.0, 2.0)


def test_longer_wins_on_llmbar(shared_data):
    """Lengths are in characters; pairs of equal length (one each in Natural and Manual) do not count."""
    rows = pa.parquet.read_table(shared_data / "llmbar" / "pairs.parquet").to_pylist()
    lengths, others = (jnp.array([len(row[side]) for row in rows]) for side in ("output_1", "output_2"))
    target, subsets = jnp.array([float(row["label"] == 1) for row in rows]), [row["subset"] for row in rows]
    right = jax.vmap(metrics.longer_wins_metric)(lengths, others, target)
    accuracies = metrics.subset_accuracies(right.numerator, subsets, where=right.denominator > 0)
    facts = {"Natural": 56.6, "Neighbor": 11.9, "GPTInst": 13.0, "GPTOut": 44.7, "Manual": 17.8}
    for subset, fact in facts.items():
        assert round(100 * float(accuracies[subset].value), 1) == fact
    assert {name: accuracies[name].denominator for name in ("Natural", "Manual")} == {"Natural": 99, "Manual": 45}


def test_longer_wins_on_hh_harmless(shared_data):
    """Lengths are in characters, over both splits."""
    tables = [
        pa.parquet.read_table(shared_data / "hh_harmless" / f"{split}.parquet") for split in ("train", "validation")
    ]
    chosen, rejected = (
        jnp.array([len(text) for table in tables for text in table[side].to_pylist()])
        for side in ("chosen", "rejected")
    )
    total = metrics.longer_wins_metric(chosen, rejected, jnp.ones(len(chosen)))
    assert round(100 * float(total.value), 1) == 44.5
    assert total.denominator == len(chosen) - 11


def test_length_matched_by_hand():
    # 90 of 100 is within 10 % just so; 11 of 10 is not 10 % of the shorter but 1/11 of the longer one; two empty ones.
    lengths, others = jnp.array([100, 100, 10, 0, 0]), jnp.array([90, 89, 11, 0, 1])
    assert metrics.length_matched(lengths, others).tolist() == [True, False, True, True, False]
    assert metrics.length_matched(lengths, others, tolerance=0.0).tolist() == [False, False, False, True, False]


def test_swap_consistency_by_hand():
    # A names the first response in both orders; B whatever is shown first; C the second in both; D and E are torn.
    plain, swapped = jnp.array([0.9, 0.8, 0.1, 0.5, 0.5]), jnp.array([0.2, 0.8, 0.6, 0.7, 0.5])
    assert metrics.swap_consistency_metric(plain, swapped) == (3.0, 5.0)
    # (0.4 - 0.3)/2 + (0.3 + 0.3)/2 + (-0.4 + 0.1)/2 + (0 + 0.2)/2 + 0 = 0.3.
    np.testing.assert_allclose(metrics.position_bias_metric(plain, swapped), (0.3, 5.0), rtol=1e-6)


def test_a_judge_that_follows_quality_is_consistent_and_one_that_follows_position_is_not():
    quality = jax.random.normal(jax.random.key(1), (200,))
    by_quality = jax.nn.sigmoid(quality), jax.nn.sigmoid(-quality)
    assert metrics.swap_consistency_metric(*by_quality).value == 1
    assert abs(metrics.position_bias_metric(*by_quality).value) < 1e-6
    by_position = jnp.full(200, 0.8), jnp.full(200, 0.8)
    assert metrics.swap_consistency_metric(*by_position).value == 0
    np.testing.assert_allclose(metrics.position_bias_metric(*by_position).value, 0.3, rtol=1e-6)


METRICS = {
    "preference accuracy": lambda a, b, where: metrics.preference_accuracy_metric(
        a, b, jnp.round(a * 9) / 9, where=where
    ),
    "longer wins": lambda a, b, where: metrics.longer_wins_metric(a, b, 1 - a, where=where),
    "swap consistency": lambda a, b, where: metrics.swap_consistency_metric(a, b, where=where),
    "position bias": lambda a, b, where: metrics.position_bias_metric(a, b, where=where),
    "Brier score": lambda a, b, where: metrics.brier_score_metric(a, b, where=where),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
class TestBattery:
    def values(self):
        first, second, chance = jax.random.uniform(jax.random.key(2), (3, 6, 5))
        return jnp.round(first, 1), jnp.round(second, 1), chance < 0.7

    def test_pairs_add_up(self, metric):
        values = self.values()
        per_pair = jax.jit(jax.vmap(jax.vmap(metric)))(*values)
        assert per_pair.numerator.shape == (6, 5)
        np.testing.assert_allclose([part.sum() for part in per_pair], metric(*values), rtol=1e-5)

    def test_masked_pairs_do_nothing(self, metric, allow_nans):
        first, second, where = self.values()
        expected = metric(first, second, where)
        for padding in jnp.nan, jnp.inf, -1e30:
            padded = metric(jnp.where(where, first, padding), jnp.where(where, second, padding), where)
            np.testing.assert_allclose(padded, expected, rtol=1e-6)

    def test_nothing_real(self, metric):
        first, second, where = self.values()
        assert metric(first, second, jnp.zeros_like(where)) == (0.0, 0.0)

    def test_nan_of_a_real_pair_is_not_hidden(self, metric, allow_nans):
        first, second, _ = self.values()
        assert jnp.isnan(metric(first, second.at[0, 0].set(jnp.nan), jnp.ones_like(first, bool)).value)

    def test_bfloat16(self, metric):
        first, second, where = self.values()
        coarse = first.astype(jnp.bfloat16), second.astype(jnp.bfloat16)
        exact = (value.astype(jnp.float32) for value in coarse)
        np.testing.assert_allclose(metric(*coarse, where), metric(*exact, where), rtol=1e-2)

    def test_shapes_must_agree(self, metric):
        with pytest.raises(ValueError, match="one shape"):
            metric(jnp.ones(3), jnp.ones(2), jnp.ones(3, bool))
