import jax
import pytest

from jaxalign import sharding


def sizes(mesh):
    return tuple(mesh.shape[axis] for axis in sharding.mesh.MESH_AXES)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (1, 8, 1, 1)),
        ({"data": 2, "tensor": 2}, (2, 2, 1, 2)),
        ({"data": -1, "fsdp": 1}, (8, 1, 1, 1)),
        ({"data": 1, "fsdp": 1, "tensor": -1}, (1, 1, 1, 8)),
        ({"data": 2, "context": 2}, (2, 2, 2, 1)),
    ],
)
def test_minus_one_takes_the_rest(asked, expected):
    mesh = sharding.make_mesh(**asked)
    assert sizes(mesh) == expected
    assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


def test_fewer_devices():
    assert sizes(sharding.make_mesh(tensor=2, devices=jax.devices()[:4])) == (1, 2, 1, 2)


def test_a_mesh_that_does_not_fit_names_those_that_do():
    # 8 is no multiple of 3 x 2; from (3, 1, 1, 2), (4, 1, 1, 2) is log2(4/3) = 0.4 octaves away, all others farther.
    message = r"data=3 x fsdp=-1 x context=1 x tensor=2 does not fill the 8 devices.*nearest: data=4 x fsdp=1 x con"
    with pytest.raises(ValueError, match=message):
        sharding.make_mesh(data=3, tensor=2)
    with pytest.raises(ValueError, match=r"data=4 x fsdp=4 x context=1 x tensor=1 does not fill the 8 devices"):
        sharding.make_mesh(data=4, fsdp=4)


@pytest.mark.parametrize("asked", [{"data": -1, "fsdp": -1}, {"tensor": 0}, {"data": -2}])
def test_sizes_must_be_positive_with_one_rest(asked):
    with pytest.raises(ValueError, match="at most one is -1"):
        sharding.make_mesh(**asked)


def test_a_mesh_that_no_torus_has_is_explained(monkeypatch):
    def make_mesh(*arguments, **options):
        raise NotImplementedError("Failed to find assignment for logical_axis_index 1. The size must be ...")

    monkeypatch.setattr("jax.make_mesh", make_mesh)
    with pytest.raises(ValueError, match=r"data=2 x fsdp=4 .* choose such sizes \(Failed to find assignment"):
        sharding.make_mesh(data=2)
