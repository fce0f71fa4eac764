"""The largest batch that fits: it does, one more does not, and it took few trials."""

import pytest

from tools.planning.largest import Need, largest_batch


def search(need, capacity, unit=1):
    """The result, and the number of trials, each checked against the interface."""
    calls = []

    def need_fn(batch):
        assert batch % unit == 0 and batch not in calls
        calls.append(batch)
        bytes_ = need(batch)
        return Need(bytes_, bytes_ is not None and bytes_ <= capacity)

    batch, tried = largest_batch(need_fn, unit, capacity)
    assert sorted(tried) == sorted(calls)
    assert need(batch + unit) is None or need(batch + unit) > capacity
    assert batch + unit in tried and (batch == 0 or tried[batch].fits)
    return batch, len(calls)


@pytest.mark.parametrize(("unit", "expected"), [(1, 30), (8, 24)])
def test_a_line_by_hand(unit, expected):
    """100 + 30 b bytes in 1,000: 30 rows. One, two, the guess, and one more are tried."""
    assert search(lambda batch: 100 + 30 * batch, 1000, unit) == (expected, 4)


def test_growth_that_is_not_linear():
    """1,000 + 30 * 188 + 188 ** 2 / 15 = 8,996 bytes."""
    batch, trials = search(lambda batch: 1000 + 30 * batch + batch**2 // 15, 9000)
    assert batch == 188 and trials <= 11


def test_a_compiler_that_saves_memory_when_it_must():
    """Above 800 bytes growth is slower, as XLA recomputes more; the line from below guesses too little."""
    batch, trials = search(lambda batch: min(20 * batch, 800 + 3 * (batch - 40)), 1000)
    assert batch == 106 and trials <= 12


def test_a_compiler_that_does_not_say_how_much_was_missing():
    batch, trials = search(lambda batch: 50 * batch if batch <= 12 else None, 1000)
    assert batch == 12 and trials <= 11


def test_nothing_fits():
    assert search(lambda batch: 5000 + batch, 1000, 4) == (0, 1)


def test_only_one_fits():
    assert search(lambda batch: 600 * batch, 1000) == (1, 2)
