"""Signals that end a run politely."""

import signal

import pytest

from jaxalign.io.run.signals import termination


@pytest.fixture(autouse=True)
def interruptible():
    """As in a terminal: a shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_both_are_noted_and_a_second_interrupt_does_not_wait():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with termination(signal.SIGINT) as requested:
        assert not requested(0)
        signal.raise_signal(signal.SIGINT)
        assert requested(1)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_is_one_where_nobody_asked():
    with termination() as requested, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not requested(0)
