"""The table, the distinctness rules and the distributions of the triplets."""

import collections
import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from jaxalign import augment

# The table of the specification, as text: w is the winner and l the loser of its own example.
NON_CONTEXTUAL = "(w_i, w_j) (w_i, w_k) (w_i, l_j) (w_i, l_k) (l_i, w_j) (l_i, w_k) (l_i, l_j) (l_i, l_k)"
NEUTRAL = "(w_j, l_j) (w_k, l_k) (w_j, w_k) (w_j, l_k) (w_k, l_j) (l_j, l_k)"

triplets_of = jax.jit(augment.rrm_triplets)


def draw(seed, prompt_ids, **options):
    options = {name: jnp.array(value) for name, value in options.items()}
    out = triplets_of(jax.random.key(seed), jnp.array(prompt_ids, jnp.int32), **options)
    return jax.tree.map(np.asarray, out)


def parts(text):
    return [tuple(part.replace("_", "").split(", ")) for part in text.strip("()").split(") (")]


def rows_of(triplets, example):
    """(winner, loser, target) of each column with the winner first; each response as (example, is chosen)."""
    for column in range(14):
        row = [field[example, column] for field in triplets]
        first, second, target = (int(row[1]), bool(row[2])), (int(row[3]), bool(row[4])), float(row[5])
        yield (second, first, 1.0) if target == 0 else (first, second, target)


def others(triplets, example):
    """j and k, which column 0, (w_i, w_j), and column 1, (w_i, w_k), tell."""
    return tuple(
        int(triplets.first_example[example, c] + triplets.second_example[example, c] - example) for c in (0, 1)
    )


def test_the_columns_are_the_table():
    assert augment.COLUMNS == (*parts(NON_CONTEXTUAL), *parts(NEUTRAL))
    assert augment.NEUTRAL == (False,) * 8 + (True,) * 6


@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_what_its_column_says(seed):
    triplets = draw(seed, [7, -3, 7, 0, 5, 5])
    assert triplets.valid.all()
    for i in range(6):
        j, k = others(triplets, i)
        names = {letter: example for letter, example in zip("ijk", (i, j, k), strict=True)}
        for column, (winner, loser, target) in enumerate(rows_of(triplets, i)):
            expected = [(names[name[1]], name[0] == "w") for name in augment.COLUMNS[column]]
            if column < 8:
                assert ([winner, loser], target) == (expected, 1.0)
            else:
                assert (sorted([winner, loser]), target) == (sorted(expected), 0.5)
        assert triplets.prompt[i].tolist() == [i] * 14


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(
    st.sampled_from([1, 2, 3, 6, 11]).flatmap(
        lambda n: st.lists(
            st.tuples(st.sampled_from([-5, 0, 1, 2**31 - 1]), st.booleans(), st.sampled_from([False, False, True])),
            min_size=n,
            max_size=n,
        )
    ),
    st.integers(0, 2**31 - 1),
)
def test_three_examples_with_three_prompts_or_nothing(examples, seed):
    """Whatever the data: duplicate prompts, one that dominates, too few, ties and exclusions anywhere."""
    ids, ties, excluded = map(list, zip(*examples, strict=True))
    triplets = draw(seed, ids, is_tie=ties, excluded=excluded)
    enough = len({prompt for prompt, out in zip(ids, excluded, strict=True) if not out}) >= 3
    for i in range(len(ids)):
        usable = enough and not excluded[i]
        expected = [usable and (neutral or not ties[i]) for neutral in augment.NEUTRAL]
        assert triplets.valid[i].tolist() == expected
        drawn = set()
        for column in np.flatnonzero(expected):
            first, second = int(triplets.first_example[i, column]), int(triplets.second_example[i, column])
            drawn |= {first, second} - {i}
            assert (i in (first, second)) == (column < 8)
            assert (first == second) == (column in (8, 9))  # (w_j, l_j) and (w_k, l_k)
        if usable:
            assert len(drawn) == 2
            assert len({ids[example] for example in {i, *drawn}}) == 3
            assert not any(excluded[example] for example in drawn)


def test_rows_that_are_not_valid_name_no_example():
    triplets = draw(0, [1, 1, 2, 2])
    assert not triplets.valid.any()
    assert (triplets.first_example == -1).all() and (triplets.second_example == -1).all()


def test_no_examples_give_no_triplets():
    triplets = draw(0, np.zeros(0, np.int32))
    assert all(field.shape == (0, 14) for field in triplets)


def test_a_dominating_prompt_loses_nothing():
    """997 examples share a prompt and three have others: each finds j and k, of the 997 at most one."""
    ids = np.full(1000, 4)
    ids[[10, 500, 999]] = 3, 9, 5
    triplets = draw(0, ids)
    assert triplets.valid.all()
    for i in range(1000):
        assert len({ids[i], *ids[list(others(triplets, i))]}) == 3


def test_ties_lose_or_tie_and_never_win():
    ties = np.array([True, False, False, True, False])
    seen = set()
    for seed in range(20):
        triplets = draw(seed, np.arange(5), is_tie=ties)
        for i in range(5):
            for column, (winner, loser, target) in enumerate(rows_of(triplets, i)):
                if triplets.valid[i, column] and target == 1:
                    assert not ties[winner[0]]
                    seen.add(loser[0])
    assert seen == set(range(5))


def many_draws(example, prompt_ids, count):
    """How often example drew each (j, k)."""
    keys = jax.random.split(jax.random.key(3), count)
    triplets = jax.jit(jax.vmap(lambda key: augment.rrm_triplets(key, jnp.array(prompt_ids))))(keys)
    one = jax.tree.map(lambda field: np.asarray(field[:, example]), triplets)
    j, k = (one.first_example[:, c] + one.second_example[:, c] - example for c in (0, 1))
    return collections.Counter(zip(j.tolist(), k.tolist(), strict=True))


def assert_distributed(counts, expected):
    """A chi-square test that a right distribution fails once in a million."""
    total = sum(counts.values())
    assert set(counts) <= set(expected)
    assert abs(sum(expected.values()) - 1) < 1e-9
    statistic = sum((counts[pair] - total * p) ** 2 / (total * p) for pair, p in expected.items())
    assert statistic < scipy.stats.chi2.isf(1e-6, len(expected) - 1)


@pytest.mark.parametrize("example", [0, 2, 5])
def test_with_different_prompts_all_ordered_pairs_are_equally_likely(example):
    rest = [e for e in range(6) if e != example]
    expected = {(j, k): 1 / 20 for j in rest for k in rest if j != k}
    assert_distributed(many_draws(example, [3, 1, 2, 9, 0, 4], 20_000), expected)


def test_with_shared_prompts_j_and_then_k_are_uniform_over_what_is_left():
    # Example 0 shares its prompt with 3: j is 1, 2, 4 or 5 with 1/4 each. Examples 1 and 4 share one, so after
    # j = 1 or 4, k is 2 or 5 with 1/2 each; after j = 2, k is 1, 4 or 5 with 1/3 each; after j = 5, it is 1, 2 or 4.
    expected = {(j, k): 1 / 8 for j in (1, 4) for k in (2, 5)}
    expected |= {(j, k): 1 / 12 for j, left in ((2, (1, 4, 5)), (5, (1, 2, 4))) for k in left}
    assert_distributed(many_draws(0, [6, 8, 1, 6, 8, 7], 20_000), expected)


def test_sides_are_fair_and_independent():
    keys = jax.random.split(jax.random.key(5), 4000)
    triplets = jax.jit(jax.vmap(lambda key: augment.rrm_triplets(key, jnp.arange(3))))(keys)
    first_is_i = np.asarray(triplets.target[:, :, :8] == 1).reshape(4000, -1).astype(float)
    # Column 8 is (w_j, l_j): its first response is the chosen one in half of the cases.
    neutral = np.asarray(triplets.first_is_chosen[:, :, 8]).astype(float)
    sides = np.concatenate([first_is_i, neutral], axis=1)
    # Standard deviations: 0.5 / sqrt(4000) = 0.008 of a mean, 1 / sqrt(4000) = 0.016 of a correlation.
    assert np.abs(sides.mean(axis=0) - 0.5).max() < 5 * 0.008
    assert np.abs(np.corrcoef(sides.T) - np.eye(27)).max() < 5 * 0.016


# Texts of three examples, and which columns must go under prompt 0.
#   "common": w_0 = l_1 = 1, so what names l of example 1 goes;  "pair": both of example 1 read like those of example 0.
#   "equal": w_1 = w_2 and l_1 = l_2, which only makes pairs of (y, y);  "own": w_0 = l_0, which is no reason.
EQUAL_TEXTS = {
    "different": ([[1, 2], [3, 4], [5, 6]], ()),
    "common": ([[1, 2], [3, 1], [5, 6]], ("l1",)),
    "pair": ([[1, 2], [2, 1], [5, 6]], ("w1", "l1")),
    "equal": ([[1, 2], [3, 4], [3, 4]], (("w1", "w2"), ("l1", "l2"))),
    "within": ([[1, 2], [3, 3], [5, 6]], (("w1", "l1"),)),
    "own": ([[1, 1], [3, 4], [5, 6]], ()),
}


@pytest.mark.parametrize("case", EQUAL_TEXTS)
@pytest.mark.parametrize("seed", range(4))
def test_no_equal_texts_and_no_own_response_in_foreign_hands(case, seed):
    response_ids, forbidden = EQUAL_TEXTS[case]
    triplets = draw(seed, [0, 1, 2], response_ids=response_ids)
    plain = draw(seed, [0, 1, 2])
    for column, (winner, loser, _) in enumerate(rows_of(plain, 0)):
        names = ["lw"[chosen] + str(example) for example, chosen in (winner, loser)]
        expected = not any(name in names or sorted(name) == sorted(names) for name in forbidden)
        assert triplets.valid[0, column] == expected


def test_jit_changes_nothing():
    key, ids = jax.random.key(1), jnp.array([3, 1, 1, 2, 5])
    options = dict(is_tie=ids == 5, excluded=ids == 3, response_ids=jnp.arange(10).reshape(5, 2))
    eager = augment.rrm_triplets(key, ids, **options)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(augment.rrm_triplets)(key, ids, **options), eager)
    assert [str(field.dtype) for field in eager] == ["int32", "int32", "bool", "int32", "bool", "float32", "bool"]


def test_keys_decide():
    ids = np.arange(50)
    first, again, other = draw(0, ids), draw(0, ids), draw(1, ids)
    same = functools.partial(jax.tree.map, lambda a, b: (a == b).all())
    assert all(same(first, again))
    assert not same(first, other).first_example


def test_take():
    triplets = draw(0, [1, 2, 3, 3])
    flat = jax.tree.map(np.ravel, triplets).take(np.array([15, 2]))
    assert flat.prompt.tolist() == [1, 0]
    assert flat.target.tolist() == [triplets.target[1, 1], triplets.target[0, 2]]
