import collections
import contextlib
import itertools
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxalign import data, typing

# Sizes of (prompt, responses ...) in tokens; a record's tokens tell its number and the place of each response.
SIZES = st.lists(
    st.tuples(st.integers(1, 6), st.lists(st.integers(1, 5), min_size=1, max_size=6)), min_size=2, max_size=20
)


def make_lists(sizes):
    prompts = [[100 + n] * length for n, (length, _) in enumerate(sizes)]
    responses = [[[1000 + 10 * n + m] * length for m, length in enumerate(of)] for n, (_, of) in enumerate(sizes)]
    labels = [[m / 10 for m, _ in enumerate(of)] for _, of in sizes]
    return data.lists_from_tokens(prompts, responses, labels, pad_id=0, limits=(6, 5))


def some_lists(count=10, seed=0):
    rng = np.random.default_rng(seed)
    return make_lists(
        [(int(rng.integers(1, 7)), rng.integers(1, 6, size=rng.integers(2, 6)).tolist()) for _ in range(count)]
    )


def batches(lists, **options):
    return list(data.list_batches(lists, **{"batch_size": 2, "list_size": 3, "num_epochs": 1, **options}))


def endless(lists, **options):
    """An iterator whose threads end with the test; left alone they would disturb Hypothesis in another one."""
    return contextlib.closing(iter(data.list_batches(lists, **options)))


def items(batch):
    """(record, {place: (tokens, label)}) of every row that is one."""
    for row in range(len(batch.where)):
        if batch.prompt_mask[row].any():
            slots = {}
            for slot in np.flatnonzero(batch.where[row]):
                tokens = batch.response_tokens[row, slot][batch.response_mask[row, slot]]
                slots[int(tokens[0]) % 10] = len(tokens), float(batch.labels[row, slot])
            yield int(batch.prompt_tokens[row, 0]) - 100, slots


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, typing.ListBatch)
        for field, a, b in zip(one._fields, one, other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=field)


def test_a_batch_by_hand():
    lists = data.lists_from_tokens(
        [[2, 7], [2, 8, 9]], [[[5, 1], [6, 6, 1]], [[1]]], [[0.25, 0.75], [1.0]], pad_id=0, limits=(3, 4)
    )
    table = np.array([[-1.0, -2.0], [-3.0, np.nan]], np.float32)
    (batch,) = batches(lists, shuffle=False, reference_logps=table)
    assert batch.prompt_tokens.tolist() == [[2, 7, 0], [2, 8, 9]]
    assert batch.prompt_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.response_tokens.tolist() == [
        [[5, 1, 0, 0], [6, 6, 1, 0], [0, 0, 0, 0]],
        [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert batch.response_mask.sum(axis=2).tolist() == [[2, 3, 0], [1, 0, 0]]
    assert batch.labels.tolist() == [[0.25, 0.75, 0], [1, 0, 0]]
    assert batch.where.tolist() == [[True, True, False], [True, False, False]]
    assert batch.reference_logps.tolist() == [[-1, -2, 0], [-3, 0, 0]]
    assert [str(array.dtype) for array in batch] == ["int32", "bool", "int32", "bool", "float32", "bool", "float32"]


def test_without_reference_the_log_probabilities_are_nan_where_they_would_count():
    (batch,) = batches(make_lists([(1, [1, 1]), (1, [1])]), shuffle=False)
    np.testing.assert_array_equal(np.isnan(batch.reference_logps), batch.where)


def test_too_many_responses_are_drawn_anew_in_every_epoch():
    lists = make_lists([(1, [1] * 8)] * 2)
    drawn = [[sorted(slots) for _, slots in items(batch)] for batch in batches(lists, num_epochs=20)]
    assert len({tuple(map(tuple, of_batch)) for of_batch in drawn}) > 10
    counts = collections.Counter(itertools.chain.from_iterable(itertools.chain.from_iterable(drawn)))
    # 40 draws of 3 of 8: 15 of each on average, standard deviation 3.
    assert set(counts) == set(range(8)) and min(counts.values()) > 3
    assert all(len(slots) == 3 for of_batch in drawn for slots in of_batch)


def test_drawn_lists_are_in_random_order():
    lists = make_lists([(1, [1] * 3)] * 2)
    first = [batch.labels[0].argmax() for batch in batches(lists, num_epochs=30)]
    assert len(set(first)) == 3


def test_in_order_the_first_responses_are_taken():
    lists = make_lists([(1, [1] * 5), (2, [1] * 2), (1, [1] * 4)])
    taken = [
        (record, sorted(slots))
        for batch in batches(lists, batch_size=1, shuffle=False)
        for record, slots in items(batch)
    ]
    assert taken == [(0, [0, 1, 2]), (1, [0, 1]), (2, [0, 1, 2])]


def test_epochs_differ_and_seeds_differ_and_both_repeat():
    lists = some_lists()
    two = batches(lists, num_epochs=2, seed=1)
    assert_equal(two, batches(lists, num_epochs=2, seed=1))
    assert_equal(two[:5], batches(lists, seed=1))
    orders = [
        [record for batch in part for record, _ in items(batch)] for part in (two[:5], two[5:], batches(lists, seed=2))
    ]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(sizes=SIZES, batch_size=st.integers(1, 5), seed=st.integers(0, 9), drop=st.booleans())
def test_buckets_hold_every_record_once(sizes, batch_size, seed, drop):
    hypothesis.assume(any(len(of) > 1 for _, of in sizes) and (not drop or len(sizes) >= batch_size))
    lists = make_lists(sizes)
    buckets = [(2, 2), (3, 4), (6, 5)]
    out = batches(lists, batch_size=batch_size, seed=seed, buckets=buckets, drop_remainder=drop)
    assert len(out) == (len(sizes) // batch_size if drop else -(-len(sizes) // batch_size))
    assert {(batch.prompt_tokens.shape[1], batch.response_tokens.shape[2]) for batch in out} <= set(buckets)
    seen = dict(itertools.chain.from_iterable(map(items, out)))
    assert sum(int(batch.prompt_mask.any(axis=1).sum()) for batch in out) == len(seen)
    assert len(seen) == (len(out) * batch_size if drop else len(sizes))
    for record, slots in seen.items():
        assert len(slots) == min(3, len(sizes[record][1]))
        for place, (length, label) in slots.items():
            assert length == sizes[record][1][place]
            assert label == np.float32(place / 10)


def test_a_list_goes_to_the_smallest_bucket_and_the_rest_moves_up():
    # Three short lists and one long: a batch of two short ones, then the third beside the long one.
    lists = make_lists([(1, [1, 1]), (1, [1, 2]), (6, [5, 1]), (2, [2, 2])])
    out = batches(lists, shuffle=False, buckets=[(2, 2), (6, 5)])
    assert [batch.response_tokens.shape for batch in out] == [(2, 3, 2), (2, 3, 5)]
    assert [[record for record, _ in items(batch)] for batch in out] == [[0, 1], [3, 2]]


def test_a_drawn_list_may_fit_a_smaller_bucket_than_its_record():
    lists = make_lists([(1, [1, 1, 1, 5])] * 2)
    widths = {batch.response_tokens.shape[2] for batch in batches(lists, num_epochs=20, buckets=[(6, 1), (6, 5)])}
    assert widths == {1, 5}


def test_the_remainder_is_dropped_or_masked():
    lists = some_lists(5)
    assert [len(list(items(batch))) for batch in batches(lists, shuffle=False)] == [2, 2]
    *_, last = batches(lists, shuffle=False, drop_remainder=False)
    assert last.prompt_tokens.shape[0] == 2
    assert not last.where[1].any() and not last.prompt_mask[1].any() and not last.response_mask[1].any()


@pytest.mark.parametrize("process_count", [2, 3, 6])
def test_processes_share_every_batch(process_count):
    lists = some_lists(32)
    options = dict(batch_size=6, buckets=[(6, 4), (6, 5)], drop_remainder=False, num_epochs=2)
    whole = batches(lists, **options)
    parts = [batches(lists, process_index=i, process_count=process_count, **options) for i in range(process_count)]
    assert len({batch.response_tokens.shape for batch in whole}) == 2
    joined = [typing.ListBatch(*map(np.concatenate, zip(*rows, strict=True))) for rows in zip(*parts, strict=True)]
    assert_equal(joined, whole)


@pytest.mark.parametrize("taken", [0, 1, 7, 12])
def test_a_stream_continues_exactly_where_its_state_was_taken(taken):
    """It does in the middle of an epoch, at its end and in the next one, with batches prefetched beyond the state."""
    lists = some_lists()
    options = dict(batch_size=2, list_size=3, buckets=[(3, 3), (6, 5)])
    with endless(lists, **options) as stream, endless(lists, **options) as resumed:
        for _ in range(taken):
            next(stream)
        state = json.loads(json.dumps(stream.get_state()))
        expected = list(itertools.islice(stream, 6))
        next(resumed)
        resumed.set_state(state)
        assert_equal(itertools.islice(resumed, 6), expected)


def test_a_state_serves_another_number_of_processes():
    options = dict(lists=some_lists(16), batch_size=4, list_size=3)
    with (
        endless(**options) as stream,
        endless(**options, process_count=2) as first,
        endless(**options, process_count=2, process_index=1) as second,
    ):
        next(stream), next(stream)
        for half in first, second:
            half.set_state(stream.get_state())
        joined = typing.ListBatch(*map(np.concatenate, zip(next(first), next(second), strict=True)))
        assert_equal([joined], [next(stream)])


def test_workers_prepare_the_same_batches():
    def take(num_workers, state=None):
        with endless(some_lists(), batch_size=2, list_size=3, num_workers=num_workers) as stream:
            if state:
                stream.set_state(state)
            return [next(stream) for _ in range(7)], stream.get_state()

    first, state = take(2)
    assert_equal(first, take(0)[0])
    assert_equal(take(2, state)[0], take(0, {"next_index": 7})[0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"buckets": [(6, 5), (3, 5)]}, r"buckets \(P, R\) that grow"),
        ({"buckets": [(6, 4)]}, r"end with at least \(6, 5\)"),
        ({"batch_size": 50}, "10 rows do not fill one batch of 50"),
        ({"process_count": 4, "batch_size": 6}, "batch size that 4 processes can share .* got 6 and 0"),
        ({"process_index": 2, "process_count": 2}, "got 2 and 2"),
    ],
)
def test_options_that_do_not_work(options, message):
    lists = make_lists([(6, [5, 1])] * 10)
    with pytest.raises(ValueError, match=message):
        data.list_batches(lists, **{"batch_size": 2, "list_size": 2, **options})


def test_lists_of_one_response_are_nothing_to_rank():
    lists = make_lists([(1, [1])] * 4)
    with pytest.raises(ValueError, match="no record has two responses to rank; .*group_by_id=True"):
        data.list_batches(lists, batch_size=2, list_size=4)
    assert len(batches(lists, list_size=1)) == 2
