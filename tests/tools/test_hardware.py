"""The table of peaks."""

import types

import pytest

from tools.hardware import CHIPS, device_peaks, peaks_of


@pytest.mark.parametrize("kind", ["TPU v5 lite", "TPU v6 lite", "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"])
def test_a_device_is_found_by_its_kind(kind):
    peaks = peaks_of(types.SimpleNamespace(device_kind=kind))
    assert kind in peaks.kinds


def test_a_chip_of_two_devices_is_halved():
    """A TPU7x has 192 GiB and 2,307 TFLOP/s, and JAX sees two devices in it."""
    peaks = device_peaks("tpu7x")
    assert (peaks.memory, peaks.flops) == (96 * 2**30, 2307e12 / 2)
    assert device_peaks("v5e") == CHIPS["v5e"]


def test_kinds_name_one_chip():
    kinds = [kind for chip in CHIPS.values() for kind in chip.kinds]
    assert len(kinds) == len(set(kinds))
    assert peaks_of(types.SimpleNamespace(device_kind="cpu")) is None
