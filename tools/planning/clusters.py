"""Devices to plan for, which need not be here.

TPUs are described by libtpu, which compiles for them on any Linux machine. GPUs have no such compiler without a GPU: a
plan for them takes exact sizes from the shardings, and a compile for as many TPU v5p in place of the rest.
"""

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.experimental import topologies

from tools.hardware import CHIPS, Chip, device_peaks

# Grids of chips that Google offers; libtpu describes any with even sides.
GRIDS_2D = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
GRIDS_3D = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16")
GRIDS = {"v4": GRIDS_3D, "v5e": GRIDS_2D, "v5p": GRIDS_3D, "v6e": GRIDS_2D, "tpu7x": GRIDS_3D}
STAND_IN = "v5p"

# libtpu looks for the TPU's machine around it, writes logs, and lets one process at a time load it. None of this is
# wanted where it only compiles. The names are of a small machine; they do not limit what is compiled for.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Cluster(NamedTuple):
    """Devices of one kind. ``devices`` are to compile for, None where there is no compiler for so many."""

    name: str
    peaks: Chip  # of one device
    count: int
    devices: Sequence[jax.Device] | None
    stand_in: str | None = None  # what ``devices`` are, where they are not of the kind planned for


def find_cluster(name: str) -> Cluster:
    """The devices that ``name`` says: a TPU and its grid of chips, or a GPU and how many.

    Raises:
      ValueError: it is not known; the message lists what is.
      ModuleNotFoundError: libtpu is not installed.
    """
    chip, _, size = name.partition(":")
    if chip not in CHIPS or not re.fullmatch(r"[1-9]\d*" if chip not in GRIDS else r"\d+(x\d+)+", size):
        raise ValueError(f"topology {name!r} is not known; known are {_known()}")
    peaks = device_peaks(chip)
    if chip in GRIDS:
        devices = _tpu_devices(name)
        return Cluster(name, peaks, len(devices), devices)
    grid = next((grid for grid in GRIDS[STAND_IN] if math.prod(map(int, grid.split("x"))) == int(size)), None)
    stand_in = grid and f"{STAND_IN}:{grid}"
    return Cluster(name, peaks, int(size), stand_in and _tpu_devices(stand_in), stand_in)


def _tpu_devices(name: str) -> Sequence[jax.Device]:
    if importlib.util.find_spec("libtpu") is None:
        raise ModuleNotFoundError(
            "plans are compiled by libtpu, which is not installed (Linux only): pip install 'jaxalign[tpu]'"
        )
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    # The two cores of a TPU v4 are one device, as JAX shows them on the machine itself.
    options = {"chip_config_name": "megacore"} if name.startswith("v4:") else {}
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"libtpu does not know topology {name!r} ({error}); known are {_known()}") from error


def _known() -> str:
    tpus = [f"{chip}:{grid}" for chip, grids in GRIDS.items() for grid in grids]
    gpus = [f"{chip}:COUNT" for chip in CHIPS if chip not in GRIDS]
    return ", ".join(tpus + gpus)
