"""Greedy combination against a naive walk, and by hand."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign import serving

K, D, M = 6, 3, 4


def combine(utilities, vectors, tokens, where=None, **options):
    utilities = np.asarray(utilities, np.float32)
    where = np.ones(utilities.shape, bool) if where is None else np.asarray(where)
    arrays = (jnp.asarray(each) for each in (utilities, np.asarray(vectors, np.float32), np.asarray(tokens, np.int32)))
    return serving.combine_examples(*arrays, jnp.asarray(where), **options)


def walk(utilities, vectors, tokens, where, threshold, budget, trade_off):
    """What the docstring says, in float64, one candidate at a time."""
    chosen = []
    while len(chosen) < M:
        left = budget - sum(tokens[i] for i in chosen)
        fits = [i for i in range(K) if where[i] and i not in chosen and utilities[i] >= threshold and tokens[i] <= left]
        if not fits:
            break
        near = {i: max((vectors[i] @ vectors[j] for j in chosen), default=0) for i in fits}
        chosen.append(max(fits, key=lambda i: (trade_off * utilities[i] - (1 - trade_off) * near[i], -i)))
    return chosen[::-1]


@given(
    seed=st.integers(0, 10**6),
    threshold=st.floats(0, 0.5, width=32),
    budget=st.integers(0, 40),
    trade_off=st.sampled_from([0.3, 0.7, 1.0]),
)
@settings(max_examples=40)
def test_equals_a_naive_walk(seed, threshold, budget, trade_off):
    rng = np.random.default_rng(seed)
    utilities = rng.uniform(size=(2, K)).astype(np.float32)
    vectors = rng.normal(size=(2, K, D))
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    tokens, where = rng.integers(0, 15, (2, K)), rng.uniform(size=(2, K)) < 0.8
    options = {"threshold": threshold, "budget": budget, "trade_off": trade_off}
    got = combine(utilities, vectors, tokens, where, max_examples=M, **options)
    for row in range(2):
        wanted = walk(utilities[row], vectors[row].astype(float), tokens[row], where[row], **options)
        assert got.positions[row].tolist() == wanted + [-1] * (M - len(wanted))
        assert got.where[row].tolist() == [True] * len(wanted) + [False] * (M - len(wanted))
        np.testing.assert_array_equal(got.utilities[row, : len(wanted)], utilities[row, wanted])
        assert not got.utilities[row, len(wanted) :].any()


def test_by_hand():
    """.7 u - .3 cos: after 0 (u .9), its copy 1 has .56 - .3 = .26 and the orthogonal 2 has .42; 3 is opposite: .51."""
    vectors = [[[1, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0]]]
    got = combine([[0.9, 0.8, 0.6, 0.3]], vectors, [[1, 1, 1, 1]], threshold=0.0, budget=9, max_examples=3)
    assert got.positions.tolist() == [[2, 3, 0]]  # then 2: .42 against .26 for the copy
    np.testing.assert_allclose(got.utilities, [[0.6, 0.3, 0.9]])


def test_a_limit_for_each_request():
    vectors = np.tile(np.eye(3, dtype=np.float32), (3, 1, 1))
    utilities, tokens = [[0.9, 0.8, 0.7]] * 3, [[4, 5, 6]] * 3
    got = combine(
        utilities, vectors, tokens, threshold=jnp.array([0.0, 0.75, 0.95]), budget=jnp.array([10, 99, 99]),
        max_examples=3,
    )  # fmt: skip
    assert got.positions.tolist() == [[1, 0, -1], [1, 0, -1], [-1, -1, -1]]


def test_more_places_than_candidates_and_one_program():
    before = serving.combine_examples._cache_size()
    for threshold, budget in ((0.0, 9), (0.5, 3), (1.0, 0)):
        got = combine(np.zeros((1, 2)), np.ones((1, 2, 3)), np.ones((1, 2)), threshold=threshold, budget=budget)
        assert got.positions.shape == (1, 5)
    assert serving.combine_examples._cache_size() == before + 1
