"""The selector as one function: from candidates to the examples of a prompt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import Hits
from tests.serving.tables import new_examples

WIDTH = 4
EYE = np.eye(WIDTH, dtype=np.float32)


@pytest.fixture(scope="module")
def table():
    """Requests along four axes; examples 0 to 3 belong to partition 0, 4 to 7 to 1; qualities 0, .2, .4, .6, ..."""
    rows = new_examples(
        8, width=WIDTH, requests=np.tile(EYE, (2, 1)), responses=np.tile(EYE, (2, 1)), partition=[0] * 4 + [1] * 4,
        quality=np.arange(8) / 8, tokens=[10] * 7 + [50],
    )  # fmt: skip
    return serving.insert_examples(serving.init_table(WIDTH, capacity=16), rows)[0]


@pytest.fixture(scope="module")
def params():
    """A proxy of one unit that reads the quality alone: its utility rises with it."""
    params = jax.tree.map(jnp.zeros_like, serving.init_proxy(jax.random.key(0), WIDTH, hidden=2))
    quality = params["first"]["kernel"].shape[0] - 4  # the facts come last, quality first among them
    params["first"]["kernel"] = params["first"]["kernel"].at[quality, 0].set(4.0)
    params["second"]["kernel"] = params["second"]["kernel"].at[0, 0].set(1.0)
    params["logit"]["kernel"] = params["logit"]["kernel"].at[0, 0].set(1.0)
    return params


def choose(params, table, ids, partitions, **options):
    ids = jnp.asarray(ids, jnp.int32)
    hits = Hits(ids, jnp.where(ids >= 0, 0.5, -jnp.inf))
    options = {"threshold": 0.0, "budget": 100, "trade_off": 1.0} | options
    queries = jnp.ones((len(ids), WIDTH))
    return serving.choose_examples(params, table, queries, hits, partitions=jnp.asarray(partitions), **options)


def test_the_best_come_last(params, table):
    chosen = choose(params, table, [[0, 3, 1, -1], [-1] * 4], [[0], [0]], max_examples=2)
    assert chosen.ids.tolist() == [[1, 3], [-1, -1]] and chosen.where.tolist() == [[True] * 2, [False] * 2]
    assert 0.5 < chosen.utilities[0, 0] < chosen.utilities[0, 1] < 1 and not chosen.utilities[1].any()


def test_only_partitions_that_the_request_may_see(params, table):
    candidates = [[0, 3, 4, 5]] * 4
    chosen = choose(params, table, candidates, [[0, -1], [1, -1], [0, 1], [-1, -1]])
    assert chosen.ids.tolist() == [[0, 3, -1, -1, -1], [4, 5, -1, -1, -1], [0, 3, 4, 5, -1], [-1] * 5]


def test_rows_that_are_free_or_used_again_are_not_shown(params, table):
    """Example 3 is forgotten after the search; then its row goes to another tenant."""
    gone = serving.forget_examples(table, np.array([3]))
    assert choose(params, gone, [[1, 3]], [[0]]).ids.tolist() == [[1, -1, -1, -1, -1]]
    other, ids = serving.insert_examples(gone, new_examples(1, width=WIDTH, partition=1))
    assert ids.tolist() == [3] and choose(params, other, [[1, 3]], [[0]]).ids.tolist() == [[1, -1, -1, -1, -1]]


def test_threshold_and_budget(params, table):
    utilities = choose(params, table, [[4, 5, 6, 7]], [[1]]).utilities[0]
    between = float((utilities[1] + utilities[2]) / 2)
    assert choose(params, table, [[4, 5, 6, 7]], [[1]], threshold=between).ids.tolist() == [[6, 7, -1, -1, -1]]
    assert choose(params, table, [[4, 5, 6, 7]], [[1]], budget=49).ids.tolist() == [[4, 5, 6, -1, -1]]


def test_one_program_while_the_table_changes(params, table):
    choose(params, table, [[0, 1]], [[0]])
    before = serving.choose_examples._cache_size()
    for count in range(1, 4):
        more, _ = serving.insert_examples(table, new_examples(count, width=WIDTH))
        choose(params, more, [[0, 8]], [[0]], threshold=count / 10, budget=count)
    assert serving.choose_examples._cache_size() == before
