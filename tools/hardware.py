"""What accelerators can do at most: the peaks behind utilisation, shares of bandwidth and rooflines."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax


class Chip(NamedTuple):
    """Peaks of one chip. ``interconnect`` is what it can send, one way, over all of its links together."""

    kinds: tuple[str, ...]  # what JAX calls such a device (``jax.Device.device_kind``)
    flops: float  # FLOP/s of dense bfloat16 products
    bandwidth: float  # bytes/s of its memory
    memory: float  # bytes
    interconnect: float  # bytes/s
    devices: int = 1  # JAX devices that a chip counts as
    node: int | None = None  # chips that are linked like this; more of them talk through ``network``
    network: float | None = None  # bytes/s of each chip, one way


# TPU: Google Cloud's pages of v4, v5e, v5p, v6e and TPU7x, whose interconnect figures are of both ways together (v4:
# six links of 50 GB/s each way). NVIDIA: data sheets of A100, H100 SXM and H200 SXM, without sparsity, of whose NVLink
# figures this is half; network: the 200 and 400 Gb/s adapter that a GPU has in DGX A100, H100 and H200.
CHIPS: Mapping[str, Chip] = MappingProxyType(
    {
        "v4": Chip(("TPU v4",), 275e12, 1.2e12, 32 * 2**30, 300e9),
        "v5e": Chip(("TPU v5 lite",), 197e12, 819e9, 16 * 2**30, 200e9),
        "v5p": Chip(("TPU v5", "TPU v5p"), 459e12, 2.765e12, 95 * 2**30, 600e9),
        "v6e": Chip(("TPU v6 lite",), 918e12, 1.638e12, 32 * 2**30, 400e9),
        "tpu7x": Chip(("TPU7x",), 2307e12, 7.38e12, 192 * 2**30, 600e9, devices=2),
        "a100-40gb": Chip(("NVIDIA A100-SXM4-40GB",), 312e12, 1.555e12, 40e9, 300e9, node=8, network=25e9),
        "a100": Chip(("NVIDIA A100-SXM4-80GB",), 312e12, 2.039e12, 80e9, 300e9, node=8, network=25e9),
        "h100": Chip(("NVIDIA H100 80GB HBM3",), 989e12, 3.35e12, 80e9, 450e9, node=8, network=50e9),
        "h200": Chip(("NVIDIA H200",), 989e12, 4.8e12, 141e9, 450e9, node=8, network=50e9),
    }
)


def device_peaks(name: str) -> Chip:
    """The peaks of one JAX device of a chip in the table, which may be a part of the chip."""
    chip = CHIPS[name]
    share = {field: getattr(chip, field) / chip.devices for field in ("flops", "bandwidth", "memory", "interconnect")}
    return chip._replace(**share, devices=1)


def peaks_of(device: jax.Device) -> Chip | None:
    """The peaks of ``device``, None where the table lacks it."""
    return next((device_peaks(name) for name, chip in CHIPS.items() if device.device_kind in chip.kinds), None)
