"""Devices that are not here: libtpu's, and the errors of names that mean none."""

import importlib.util

import pytest

from tools.planning.clusters import GRIDS, find_cluster


@pytest.mark.parametrize("chip", GRIDS)
def test_libtpu_knows_the_grids_that_errors_list(chip):
    for grid in GRIDS[chip]:
        sides = [int(side) for side in grid.split("x")]
        cluster = find_cluster(f"{chip}:{grid}")
        chips = cluster.count // (2 if chip == "tpu7x" else 1)
        assert chips == sides[0] * sides[1] * (sides[2] if len(sides) == 3 else 1)
        assert cluster.devices[0].device_kind in cluster.peaks.kinds and cluster.stand_in is None


def test_gpus_are_stood_in_for():
    cluster = find_cluster("h100:8")
    assert (cluster.count, cluster.stand_in, len(cluster.devices)) == (8, "v5p:2x2x2", 8)
    assert cluster.peaks.memory == 80e9


def test_there_is_no_stand_in_for_seven():
    cluster = find_cluster("h200:7")
    assert (cluster.count, cluster.stand_in, cluster.devices) == (7, None, None)


@pytest.mark.parametrize("name", ["v9:2x2", "v5e", "v5e:4", "v5e:0x4x", "h100:0", "h100:2x2", "gpu:8"])
def test_unknown_topologies_list_the_known(name):
    with pytest.raises(ValueError, match=rf"topology '{name}' is not known; .*v5e:4x4.*v5p:8x8x16.*h100:COUNT"):
        find_cluster(name)


def test_a_grid_that_libtpu_refuses():
    with pytest.raises(ValueError, match="libtpu does not know topology 'v5e:3x3' .*not divisible.*v5e:4x4"):
        find_cluster("v5e:3x3")


def test_without_libtpu_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxalign\[tpu\]'"):
        find_cluster("v5e:2x2")
