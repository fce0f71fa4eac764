import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxalign import augment


@pytest.mark.parametrize(
    "target, kept",
    [
        # The threshold of 0.25 itself is kept: exactly 0.25 off are the second entry of 0.5 and of 0.
        (1.0, [True, True, True, True, False, False]),
        (0.5, [True, True, False, False, True, True]),
        (0.0, [False, True, True, True, True, True]),
    ],
)
def test_what_is_off_by_the_threshold_is_kept(target, kept):
    probabilities = jnp.array([0.0, 0.25, 0.375, 0.5, 0.875, 1.0])
    out = augment.keep_informative(probabilities, jnp.full(6, target), threshold=0.25)
    assert out.tolist() == kept


def test_the_default_threshold_is_a_fifth():
    out = augment.keep_informative(jnp.array([0.81, 0.79, 0.69, 0.71]), jnp.array([1.0, 1.0, 0.5, 0.5]))
    assert out.tolist() == [False, True, False, True]


def test_masked_rows_are_not_kept_and_may_hold_anything(allow_nans):
    where = jnp.array([[True, False], [False, True]])
    probabilities = jnp.array([[0.0, jnp.nan], [jnp.inf, 1.0]])
    out = jax.jit(augment.keep_informative)(probabilities, jnp.array([[1.0, 1.0], [jnp.nan, 1.0]]), where=where)
    assert out.tolist() == [[True, False], [False, False]]


def test_a_probability_that_is_nan_does_not_lose_its_row(allow_nans):
    assert augment.keep_informative(jnp.array([jnp.nan]), jnp.array([1.0])).tolist() == [True]


@pytest.mark.parametrize("share, expected", [(0.0, 0), (0.25, 2), (0.5, 4), (0.8, 6), (1.0, 7)])
def test_a_share_is_exact(share, expected):
    # The shares of seven are 1.75, 3.5 (halves go up) and 5.6.
    where = jnp.array([[True, True, False, True], [True, True, True, True]])
    for seed in range(5):
        taken = augment.random_share(jax.random.key(seed), where, share)
        assert taken.shape == where.shape and int(taken.sum()) == expected
        assert not (taken & ~where).any()


def test_every_choice_is_equally_likely():
    where = jnp.array([True, False, True, True, True])
    keys = jax.random.split(jax.random.key(0), 6000)
    taken = jax.jit(jax.vmap(lambda key: augment.random_share(key, where, 0.5)))(keys)
    counts = collections.Counter(tuple(np.flatnonzero(row).tolist()) for row in np.asarray(taken))
    assert len(counts) == 6  # two of four
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-6


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_impossible_shares(share):
    with pytest.raises(ValueError, match=r"share: expected a number in \[0, 1\], got"):
        augment.random_share(jax.random.key(0), jnp.ones(3, bool), share)


def test_a_share_of_nothing_is_nothing():
    assert augment.random_share(jax.random.key(0), jnp.zeros(0, bool), 0.5).shape == (0,)
    assert not augment.random_share(jax.random.key(0), jnp.zeros(4, bool), 0.5).any()
