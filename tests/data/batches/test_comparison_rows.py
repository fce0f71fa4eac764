import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxalign import data, typing

FORM = typing.ComparisonFormat(context=(2,), first=(11,), second=(12, 13), end=(1,), verdicts=(21, 22, 23))


def make_lists(sizes, labels=None):
    """Lists of n responses each; tokens 100 + record for prompts, 1000 + 10 * record + place for responses."""
    prompts = [[2] + [100 + n] * (1 + n % 3) for n, _ in enumerate(sizes)]
    responses = [[[1000 + 10 * n + m] * (1 + m % 2) for m in range(size)] for n, size in enumerate(sizes)]
    labels = labels or [[m / 10 for m in range(size)] for size in sizes]
    return data.lists_from_tokens(prompts, responses, labels, pad_id=0, limits=(4, 2))


def batches(lists, **options):
    defaults = {"batch_size": 2, "row_length": 24, "num_epochs": 1, "drop_remainder": False}
    return list(data.comparison_batches(lists, FORM, **{**defaults, **options}))


def shown(batch):
    """(first token of the response shown first, of the second, verdict) of every comparison, checked in its row."""
    for row, slot in np.argwhere(batch.where):
        at = np.flatnonzero(batch.segment_ids[row] == slot + 1)
        tokens = batch.tokens[row, at].tolist()
        assert at[-1] == batch.verdict_positions[row, slot]
        np.testing.assert_array_equal(batch.positions[row, at], np.arange(len(at)))
        first, second = tokens.index(11), tokens.index(12)
        assert tokens[0] == 2 and tokens[-1] == 1 and tokens[second + 1] == 13
        yield tokens[first + 1], tokens[second + 2], tuple(batch.verdicts[row, slot].tolist())


def test_rows_by_hand():
    prompts, responses = [[2, 7], [2, 8]], [[[5], [6, 6]], [[4], [3]]]
    lists = data.lists_from_tokens(prompts, responses, [[0.75, 0.25], [0.5, 0.5]], pad_id=0, limits=(2, 2))
    (batch,) = batches(lists, shuffle=False, row_length=18)
    # 2 + 1 + 1 + 2 + 2 + 1 = 9 and 8 tokens: both fit one row.
    assert batch.tokens.tolist() == [[2, 7, 11, 5, 12, 13, 6, 6, 1, 2, 8, 11, 4, 12, 13, 3, 1, 0], [0] * 18]
    assert batch.segment_ids.tolist() == [[1] * 9 + [2] * 8 + [0], [0] * 18]
    assert batch.positions.tolist() == [[*range(9), *range(8), 0], [0] * 18]
    assert batch.verdict_positions.tolist() == [[8, 16], [0, 0]]
    assert batch.verdicts.tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert batch.where.tolist() == [[True, True], [False, False]]
    assert [str(array.dtype) for array in batch] == ["int32", "int32", "int32", "int32", "float32", "bool"]


def test_unpacked_rows_hold_one_comparison():
    out = batches(make_lists([3, 2]), packed=False, row_length=12)
    assert all(batch.where.shape == (2, 1) for batch in out)
    assert sum(int(batch.where.sum()) for batch in out) == 4


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    sizes=st.lists(st.integers(2, 4), min_size=1, max_size=8), packed=st.booleans(), seed=st.integers(0, 9)
)
def test_every_two_responses_meet_once_in_an_epoch(sizes, packed, seed):
    lists = make_lists(sizes)
    met = [frozenset(pair[:2]) for batch in batches(lists, packed=packed, seed=seed) for pair in shown(batch)]
    expected = [
        frozenset((1000 + 10 * n + i, 1000 + 10 * n + j))
        for n, size in enumerate(sizes)
        for i, j in itertools.combinations(range(size), 2)
    ]
    assert sorted(map(sorted, met)) == sorted(map(sorted, expected))


def test_the_verdict_goes_with_the_response_wherever_it_is_shown():
    lists = make_lists([3, 4])
    out = batches(lists, num_epochs=8)
    for first, second, verdict in itertools.chain.from_iterable(map(shown, out)):
        assert verdict == ((1, 0, 0) if first > second else (0, 1, 0))


def test_sides_are_drawn_anew_in_every_epoch():
    lists = make_lists([2] * 20)
    epochs = _sides(lists, 20)
    # 400 fair coins: 200 on average, standard deviation 10; no comparison always has the same side.
    assert 150 < epochs.sum() < 250
    assert 0 < epochs.mean(axis=0).min() and epochs.mean(axis=0).max() < 1


def _sides(lists, num_epochs):
    """[epoch, record]: whether the better response is shown first."""
    out = batches(lists, packed=False, num_epochs=num_epochs)
    per_epoch = len(out) // num_epochs
    sides = np.zeros((num_epochs, len(lists)), bool)
    for number, batch in enumerate(out):
        for first, second, _ in shown(batch):
            sides[number // per_epoch, (first - 1000) // 10] = first > second
    return sides


def test_batches_are_a_pure_function_of_their_number():
    lists = make_lists([3, 2, 4, 2, 3])
    options = dict(num_epochs=2, seed=3)
    one, again, other = batches(lists, **options), batches(lists, **options), batches(lists, num_epochs=2, seed=4)
    for a, b in zip(one, again, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
    assert any((a.tokens != b.tokens).any() for a, b in zip(one, other, strict=True))


def test_processes_share_every_batch():
    options = dict(batch_size=4, num_epochs=2)
    lists = make_lists([3, 2, 4, 2, 3])
    whole = batches(lists, **options)
    parts = [batches(lists, **options, process_index=i, process_count=2) for i in range(2)]
    for rows, expected in zip(zip(*parts, strict=True), whole, strict=True):
        for ours, theirs in zip(map(np.concatenate, zip(*rows, strict=True)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_soft_targets():
    lists = make_lists([2, 2], labels=[[0.7, 0.3], [0.5, 0.5]])
    verdicts = [
        verdict for batch in batches(lists, shuffle=False, verdict_fn=data.soft_verdict) for *_, verdict in shown(batch)
    ]
    np.testing.assert_allclose(verdicts, [[0.7, 0.3, 0], [0.5, 0.5, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match="two labels that sum to 1, got 0.5 and 0.1; use hard_verdict"):
        data.soft_verdict(0.5, 0.1)


def test_lists_of_one_response_are_counted():
    with pytest.warns(UserWarning, match="1 of 2 records have one response and give no comparison"):
        (batch,) = batches(make_lists([2, 1]))
    assert batch.where.sum() == 1
    with pytest.raises(ValueError, match="no record has two responses to compare"):
        batches(make_lists([1, 1]))


def test_rows_that_are_too_short():
    with pytest.raises(ValueError, match=r"longest comparison, 10 tokens, got row_length 9; .* now 4 \+ 2 \* 2"):
        batches(make_lists([2, 2]), row_length=9)
