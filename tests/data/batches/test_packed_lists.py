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
    """Token t of a prompt or response is ``100 * (10 * record + place) + t``, place 0 for the prompt."""

    def tokens(record, place, length):
        return (100 * (10 * record + place) + np.arange(length)).tolist()

    prompts = [tokens(n + 1, 0, length) for n, (length, _) in enumerate(sizes)]
    responses = [[tokens(n + 1, m, length) for m, length in enumerate(of, 1)] for n, (_, of) in enumerate(sizes)]
    labels = [[m / 10 for m, _ in enumerate(of, 1)] for _, of in sizes]
    return data.lists_from_tokens(prompts, responses, labels, pad_id=0, limits=(6, 5))


def some_lists(count=24, seed=0):
    rng = np.random.default_rng(seed)
    return make_lists(
        [(int(rng.integers(1, 7)), rng.integers(1, 6, size=rng.integers(2, 6)).tolist()) for _ in range(count)]
    )


def packed(lists, row_length=30, **options):
    shape = data.fit_row(lists, list_size=3, row_length=row_length)
    return data.packed_list_batches(lists, shape, **{"batch_size": 2, **options})


def batches(lists, **options):
    return list(packed(lists, **{"num_epochs": 1, **options}))


def endless(lists, **options):
    """An iterator whose threads end with the test; left alone they would disturb Hypothesis in another one."""
    return contextlib.closing(iter(packed(lists, **options)))


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        for field, a, b in zip(typing.PackedListBatch._fields, one, other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=field)


def join(*parts):
    return typing.PackedListBatch(*map(np.concatenate, zip(*parts, strict=True)))


def records_of(out):
    """The records in the batches, one entry for each time."""
    labelled = [batch.response_tokens[batch.response_slots > 0] for batch in out]
    rows = [(batch, row) for batch in out for row in range(len(batch.where))]
    assert sum(map(len, labelled)) == sum(int((batch.response_slots > 0).sum()) for batch in out)
    return sorted(record for batch, row in rows for record in check_row(batch, row))


def check_row(batch, row):
    """What a row should be, from its tokens alone; the records of its lists."""
    prompt_tokens, prompt_lists, prompt_positions = (array[row] for array in batch[:3])
    tokens, targets, lists, slots, positions = (array[row] for array in batch[3:8])
    records = []
    for number in range(1, len(batch.where[row]) + 1):
        own = lists == number
        where = batch.where[row, number - 1]
        assert sorted(set(slots[own])) == (np.flatnonzero(where) + 1).tolist()
        prompt = prompt_tokens[prompt_lists == number]
        np.testing.assert_array_equal(prompt_positions[prompt_lists == number], np.arange(len(prompt)))
        found = set()
        for slot in np.flatnonzero(where) + 1:
            lane, at = np.nonzero(own & (slots == slot))
            assert len(set(lane)) == 1 and (np.diff(at) == 1).all()  # whole, in one lane
            at = lane, at
            record, place = divmod(int(targets[at][0]) // 100, 10)
            np.testing.assert_array_equal(targets[at], 100 * (10 * record + place) + np.arange(len(lane)))
            np.testing.assert_array_equal(tokens[at], [1000 * record + len(prompt), *targets[at][:-1]])
            np.testing.assert_array_equal(positions[at], len(prompt) + np.arange(len(lane)))
            assert batch.labels[row, number - 1, slot - 1] == np.float32(place / 10)
            found.add((record, place))
        if found:
            (record,) = {record for record, _ in found}
            assert len(found) == where.sum()
            np.testing.assert_array_equal(prompt, 1000 * record + np.arange(len(prompt)))
            records.append(record - 1)
        else:
            assert not prompt.size and not own.any()
    assert not (slots[lists == 0].any() or batch.labels[row][~batch.where[row]].any())
    return records


def test_rows_by_hand():
    lists = data.lists_from_tokens(
        [[2, 7], [2, 8, 9], [3]],
        [[[5, 1], [6, 6, 1]], [[1]], [[4, 4, 1], [1]]],
        [[0.25, 0.75], [1.0], [0.0, 0.5]],
        pad_id=0,
        limits=(3, 3),
    )
    table = np.array([[-1.0, -2.0], [-3.0, np.nan], [-4.0, -5.0]], np.float32)
    shape = data.RowShape(prompt=3, lanes=2, lane=5, lists=2, responses=2)
    (batch,) = data.packed_list_batches(
        lists, shape, batch_size=3, reference_logps=table, shuffle=False, num_epochs=1, drop_remainder=False
    )
    # Prompts feed 1 + 2 tokens of the first row. Its responses of 3, 2 and 1 tokens: the first two fill a lane of 5.
    assert batch.prompt_tokens.tolist() == [[2, 2, 8], [0, 0, 0], [0, 0, 0]]
    assert batch.prompt_lists.tolist() == [[1, 2, 2], [0, 0, 0], [0, 0, 0]]
    assert batch.prompt_positions.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    blank = [[0] * 5, [0] * 5]
    assert batch.response_tokens.tolist() == [[[7, 6, 6, 7, 5], [9, 0, 0, 0, 0]], [[3, 4, 4, 3, 0], [0] * 5], blank]
    assert batch.targets.tolist() == [[[6, 6, 1, 5, 1], [1, 0, 0, 0, 0]], [[4, 4, 1, 1, 0], [0] * 5], blank]
    assert batch.response_lists.tolist() == [[[1] * 5, [2, 0, 0, 0, 0]], [[1, 1, 1, 1, 0], [0] * 5], blank]
    assert batch.response_slots.tolist() == [[[2, 2, 2, 1, 1], [1, 0, 0, 0, 0]], [[1, 1, 1, 2, 0], [0] * 5], blank]
    assert batch.response_positions.tolist() == [[[1, 2, 3, 1, 2], [2, 0, 0, 0, 0]], [[0, 1, 2, 0, 0], [0] * 5], blank]
    assert batch.labels.tolist() == [[[0.25, 0.75], [1, 0]], [[0, 0.5], [0, 0]], [[0, 0], [0, 0]]]
    assert batch.where.astype(int).tolist() == [[[1, 1], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]]
    assert batch.reference_logps.tolist() == [[[-1, -2], [-3, 0]], [[-4, -5], [0, 0]], [[0, 0], [0, 0]]]
    # 3 * (3 + 10) places, of which prompts take 3 and responses 3 + 2 + 1 + 3 + 1 = 10.
    assert tuple(data.padding_share(batch)) == (39 - 13, 39)


def test_padding_of_padded_lists_by_hand():
    lists = data.lists_from_tokens(
        [[2, 7], [2, 8, 9]], [[[5, 1], [6, 6, 1]], [[1]]], [[0.0, 0.5], [1.0]], pad_id=0, limits=(3, 4)
    )
    options = dict(batch_size=2, list_size=2, shuffle=False, num_epochs=1)
    (batch,) = data.list_batches(lists, **options)
    # 2 * (3 + 2 * 4) places; 2 + 3 prompt tokens, 2 + 3 + 1 of responses.
    assert tuple(data.padding_share(batch)) == (22 - 11, 22)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(sizes=SIZES, room=st.integers(0, 40), shuffle=st.booleans(), seed=st.integers(0, 9))
def test_every_list_is_whole_and_once_in_an_epoch(sizes, room, shuffle, seed):
    hypothesis.assume(any(len(of) > 1 for _, of in sizes))
    lists = make_lists(sizes)
    out = batches(lists, row_length=5 + 3 * 5 + room, shuffle=shuffle, seed=seed, drop_remainder=False)
    assert records_of(out) == list(range(len(sizes)))
    counts = sum(int(batch.where.sum()) for batch in out)
    assert counts == sum(min(len(of), 3) for _, of in sizes)


def test_packing_wastes_less():
    lists = some_lists(200)
    shares = [
        sum(np.array(data.padding_share(batch)) for batch in out)
        for out in (
            batches(lists, row_length=60),
            data.list_batches(lists, batch_size=2, list_size=3, num_epochs=1),
        )
    ]
    packed_share, padded_share = (padding / total for padding, total in shares)
    assert packed_share < 0.12 and padded_share > 0.4


def test_epochs_draw_and_pack_anew_and_both_repeat():
    lists = some_lists()
    two = batches(lists, num_epochs=2, seed=1, drop_remainder=False)
    first = batches(lists, seed=1, drop_remainder=False)
    assert_equal(two, batches(lists, num_epochs=2, seed=1, drop_remainder=False))
    assert_equal(two[: len(first)], first)
    assert records_of(two) == sorted([*range(24), *range(24)])
    other = batches(lists, seed=2, drop_remainder=False)
    for part in two[len(first) :], other:
        assert any((a.targets != b.targets).any() for a, b in zip(first, part, strict=False))


@pytest.mark.parametrize("taken", [0, 1, 9, 23])
def test_batch_n_is_a_function_of_n(taken):
    """Resumed in this epoch and in later ones, whose numbers of batches differ, with batches read ahead."""
    lists = some_lists()
    lengths = [len(batches(lists, num_epochs=n)) for n in range(1, 6)]
    assert len(set(np.diff([0, *lengths]))) > 1
    with endless(lists) as stream, endless(lists) as resumed:
        for _ in range(taken):
            next(stream)
        state = json.loads(json.dumps(stream.get_state()))
        expected = list(itertools.islice(stream, 6))
        next(resumed)
        resumed.set_state(state)
        assert_equal(itertools.islice(resumed, 6), expected)


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_every_batch(process_count):
    lists = some_lists(23)
    options = dict(batch_size=4, drop_remainder=False, num_epochs=2)
    parts = [batches(lists, process_index=i, process_count=process_count, **options) for i in range(process_count)]
    assert_equal([join(*rows) for rows in zip(*parts, strict=True)], batches(lists, **options))


def test_a_state_serves_another_number_of_processes():
    options = dict(lists=some_lists(), batch_size=4)
    with (
        endless(**options) as stream,
        endless(**options, process_count=2) as first,
        endless(**options, process_count=2, process_index=1) as second,
    ):
        for _ in range(5):
            next(stream)
        for half in first, second:
            half.set_state(stream.get_state())
        assert_equal([join(next(first), next(second))], [next(stream)])


def test_workers_prepare_the_same_batches():
    with endless(some_lists(), num_workers=1) as worker, endless(some_lists()) as threads:
        assert_equal(itertools.islice(worker, 7), itertools.islice(threads, 7))


def test_without_reference_a_loss_that_needs_it_is_nan():
    (batch, *_) = batches(some_lists())
    assert np.isnan(batch.reference_logps[batch.where]).all() and not batch.reference_logps[~batch.where].any()


def test_a_row_shape_by_hand():
    # Prompts feed 5 and 3 tokens, 4 a list; of responses 3 of 4 tokens and 3 of 2, 9 a list: 13 a list.
    lists = make_lists([(6, [4, 4, 4]), (4, [2, 2, 2])])
    # Of 50 tokens 15.4 are the prompts' share. Times 0.9 to 1.5, rounded up: 14, 16, 17, 19, 20, 22, 24, which leave 9,
    # 8, 8, 7, 7, 7, 6 lanes of 4. Both lists fit one row of each, and 19 + 7 * 4 is the smallest. 2 * 50 / 13 is 7.7.
    assert data.fit_row(lists, list_size=3, row_length=50) == data.RowShape(19, 7, 4, lists=8, responses=3)
    # Of 18, three lanes of 4 leave 6; either way the lists take a row each.
    assert data.fit_row(lists, list_size=3, row_length=18) == data.RowShape(5, 3, 4, lists=3, responses=3)


def test_what_is_too_long_is_named():
    lists = make_lists([(2, [1, 1]), (6, [2, 2]), (3, [1, 5])])
    with pytest.raises(ValueError, match=r"5 tokens .* \(record 1\), and 2 .* 5 tokens \(record 2\), .* make it 15 or"):
        data.fit_row(lists, list_size=2, row_length=14)
    shape = data.fit_row(lists, list_size=2, row_length=15)
    for wrong, message in (
        ({"prompt": 4}, "got 4 tokens a row for the 5 of record 1"),
        ({"lane": 4}, r"the longest, 5 tokens \(record 2\), got 2 lanes of 4"),
        ({"lanes": 1}, "room for 2 responses as long as the longest"),
    ):
        with pytest.raises(ValueError, match=message):
            data.packed_list_batches(lists, shape._replace(**wrong), batch_size=1)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 50}, "rows do not fill one batch of 50"),
        ({"process_count": 4, "batch_size": 6}, "batch size that 4 processes can share"),
    ],
)
def test_options_that_do_not_work(options, message):
    with pytest.raises(ValueError, match=message):
        packed(some_lists(), **options)


def test_lists_of_one_response_are_nothing_to_rank():
    with pytest.raises(ValueError, match="no record has two responses to rank"):
        packed(make_lists([(1, [1])] * 4))
