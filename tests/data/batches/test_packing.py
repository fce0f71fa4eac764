import contextlib
import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxalign import data, typing

SIZES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=30)


def make_lists(sizes):
    """One response each; all tokens of a record's prompt and response are different, and those of no other record."""
    tokens = [np.arange(100 * (n + 1), 100 * (n + 1) + p + r) for n, (p, r) in enumerate(sizes)]
    prompts = [row[:p] for row, (p, _) in zip(tokens, sizes, strict=True)]
    responses = [[row[p:]] for row, (p, _) in zip(tokens, sizes, strict=True)]
    return data.lists_from_tokens(prompts, responses, [[1.0]] * len(sizes), pad_id=0, limits=(6, 5))


def batches(lists, **options):
    defaults = {"batch_size": 2, "row_length": 12, "num_epochs": 1, "drop_remainder": False}
    return list(data.sft_batches(lists, **{**defaults, **options}))


def test_rows_by_hand():
    lists = data.lists_from_tokens(
        [[2, 7], [2, 8, 9]], [[[5, 1]], [[6, 1], [1]]], [[1.0], [0.5, 0.5]], pad_id=0, limits=(3, 2)
    )
    (batch,) = batches(lists, row_length=8, shuffle=False)
    # Examples of 3, 4 and 3 tokens: the first two fill seven places of the first row, the third goes to the second.
    assert batch.tokens.tolist() == [[2, 7, 5, 2, 8, 9, 6, 0], [2, 8, 9, 0, 0, 0, 0, 0]]
    assert batch.targets.tolist() == [[7, 5, 1, 8, 9, 6, 1, 0], [8, 9, 1, 0, 0, 0, 0, 0]]
    assert batch.loss_mask.astype(int).tolist() == [[0, 1, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0, 0, 0]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 0, 0, 0, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 0, 0, 0, 0, 0]]
    assert [str(array.dtype) for array in batch] == ["int32", "int32", "bool", "int32", "int32"]


@pytest.mark.parametrize("lengths, capacity, rows", [
    ([3, 4, 2, 1], 5, [[0, 2], [1, 3]]),
    ([5, 5], 5, [[0], [1]]),
    ([1] * 7, 3, [[0, 1, 2], [3, 4, 5], [6]]),
    ([4, 3, 2, 1, 2], 5, [[0, 3], [1, 2], [4]]),
    ([2], 5, [[0]]),
    ([], 5, []),
])  # fmt: skip
def test_first_fit_by_hand(lengths, capacity, rows):
    assert data.first_fit(lengths, capacity) == rows


@hypothesis.given(lengths=st.lists(st.integers(1, 10), max_size=60))
def test_first_fit_equals_the_plain_rule(lengths):
    rows, room = [], []
    for item, length in enumerate(lengths):
        row = next((row for row, left in enumerate(room) if left >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(10)
        rows[row].append(item)
        room[row] -= length
    assert data.first_fit(lengths, 10) == rows


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(sizes=SIZES, packed=st.booleans(), shuffle=st.booleans(), seed=st.integers(0, 9))
def test_every_token_appears_once_and_no_segment_crosses_another(sizes, packed, shuffle, seed):
    lists = make_lists(sizes)
    out = batches(lists, packed=packed, shuffle=shuffle, seed=seed)
    batch = typing.TokenBatch(*map(np.concatenate, zip(*out, strict=True)))
    assert batch.tokens.shape[1] == 12
    seen = []
    for row in range(len(batch.tokens)):
        ids = batch.segment_ids[row]
        assert (ids[np.flatnonzero(ids).size :] == 0).all()
        assert sorted(set(ids[ids > 0])) == list(range(1, ids.max() + 1))
        if not packed:
            assert ids.max() <= 1
        for segment in range(1, ids.max() + 1):
            at = np.flatnonzero(ids == segment)
            assert (np.diff(at) == 1).all()
            record = batch.tokens[row, at[0]] // 100 - 1
            prompt, response = sizes[record]
            sequence = np.arange(100 * (record + 1), 100 * (record + 1) + prompt + response)
            np.testing.assert_array_equal(batch.tokens[row, at], sequence[:-1])
            np.testing.assert_array_equal(batch.targets[row, at], sequence[1:])
            np.testing.assert_array_equal(batch.positions[row, at], np.arange(len(at)))
            np.testing.assert_array_equal(batch.loss_mask[row, at], sequence[1:] >= sequence[prompt])
            seen.append(record)
    # A prompt and a response of one token each still make one place; every record is there exactly once.
    assert sorted(seen) == list(range(len(sizes)))
    assert batch.loss_mask.sum() == sum(response for _, response in sizes)
    assert not batch.loss_mask[batch.segment_ids == 0].any()


def test_packing_wastes_little():
    rng = np.random.default_rng(0)
    lists = make_lists([(int(p), int(r)) for p, r in rng.integers(1, 6, size=(300, 2))])
    used = [
        np.mean(np.concatenate([batch.segment_ids for batch in batches(lists, packed=p)]) > 0) for p in (True, False)
    ]
    assert used[0] > 0.95
    assert used[1] < 0.5


def test_epochs_differ_in_the_order_of_rows():
    lists = make_lists([(2, 3)] * 12)
    out = batches(lists, num_epochs=2, row_length=8)
    rows = [sorted(row.tolist() for batch in part for row in batch.tokens) for part in (out[:3], out[3:])]
    assert rows[0] == rows[1]
    assert any((a.tokens != b.tokens).any() for a, b in zip(out[:3], out[3:], strict=True))


def test_processes_share_every_batch():
    lists = make_lists([(2, 3), (1, 4), (5, 5), (2, 2), (6, 1)] * 4)
    options = dict(batch_size=4, num_epochs=2)
    parts = [batches(lists, process_index=i, process_count=2, **options) for i in range(2)]
    for whole, *halves in zip(batches(lists, **options), *parts, strict=True):
        for array, *pieces in zip(whole, *halves, strict=True):
            np.testing.assert_array_equal(array, np.concatenate(pieces))


def test_a_stream_continues_exactly_where_its_state_was_taken():
    endless = data.sft_batches(make_lists([(2, 3)] * 12), batch_size=2, row_length=8)
    with contextlib.closing(iter(endless)) as stream, contextlib.closing(iter(endless)) as resumed:
        for _ in range(4):
            next(stream)
        resumed.set_state(stream.get_state())
        for ours, theirs in itertools.islice(zip(stream, resumed, strict=True), 8):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


def test_an_example_longer_than_a_row():
    with pytest.raises(ValueError, match="longest example, 10 tokens, got row_length 9; encode with smaller limits"):
        data.sft_batches(make_lists([(6, 5)]), batch_size=1, row_length=9)
    assert len(batches(make_lists([(6, 5)]), batch_size=1, row_length=10)) == 1
