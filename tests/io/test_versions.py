"""Versions of a state: equal bit for bit, chosen and taken back; another one or a damaged one is never used."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxalign.io import versions


class State(NamedTuple):
    params: dict
    opt_state: tuple
    live: jax.Array


def state(value=1.0, rows=4):
    params = {"kernel": jnp.full((2, 3), value), "bias": jnp.array([jnp.nan, -0.0, 1e-40])}
    return State(params, optax.adam(1e-3).init(params), jnp.arange(rows) % 2 == 0)


def test_a_saved_state_is_the_same_bit_for_bit(tmp_path):
    name = versions.save_version(tmp_path / "new", state(), note={"requests": 7})
    found = versions.load_version(tmp_path / "new", state(0.0), name)
    assert jax.tree.structure(found) == jax.tree.structure(state())
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(state()), strict=True):
        assert one.dtype == other.dtype and np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert versions.list_versions(tmp_path / "new") == [versions.Version(name, {"requests": 7})]


def test_a_version_comes_into_use_and_is_taken_back(tmp_path):
    first, second = (versions.save_version(tmp_path, state(value)) for value in (1.0, 2.0))
    assert versions.current_version(tmp_path) is None
    with pytest.raises(FileNotFoundError, match="no version is in use"):
        versions.load_version(tmp_path, state())
    for name, value in ((second, 2.0), (first, 1.0)):
        versions.choose_version(tmp_path, name)
        assert versions.current_version(tmp_path) == name
        assert versions.load_version(tmp_path, state()).params["kernel"][0, 0] == value
    with pytest.raises(FileNotFoundError, match=f"no version 0000; there are .*{first}"):
        versions.choose_version(tmp_path, "0000")
    assert versions.current_version(tmp_path) == first


def test_an_equal_state_is_the_same_version(tmp_path):
    assert versions.save_version(tmp_path, state(), note={"n": 1}) == versions.save_version(tmp_path, state(), note={})
    assert [each.note for each in versions.list_versions(tmp_path)] == [{"n": 1}]
    assert versions.list_versions(tmp_path / "nowhere") == []


def test_a_table_may_have_grown_but_another_state_is_named(tmp_path):
    name = versions.save_version(tmp_path, state(rows=8))
    assert versions.load_version(tmp_path, state(rows=4), name).live.shape == (8,)
    other = state()._replace(params={"kernel": jnp.zeros((2, 3), jnp.int32)})
    with pytest.raises(ValueError, match=r"params/bias is float32 of 1 axes there and absent here; params/kernel is"):
        versions.load_version(tmp_path, other, name)


def test_what_is_damaged_is_not_used(tmp_path):
    name = versions.save_version(tmp_path, state())
    path = tmp_path / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged or edited"):
        versions.load_version(tmp_path, state(), name)
    path.write_bytes(bytes(content[:20]))
    with pytest.raises(ValueError, match="not a file of safetensors"):
        versions.load_version(tmp_path, state(), name)


def test_what_is_no_array_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"expected an array of numbers, got float 1.0"):
        versions.save_version(tmp_path, {"a": 1.0})
    with pytest.raises(TypeError, match=r"key: expected an array of numbers"):
        versions.save_version(tmp_path, {"key": jax.random.key(0)})
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(tmp_path):
    (tmp_path / "current.json").write_text('{"format": "0", "version": "a"}')
    with pytest.raises(ValueError, match="expected format 1, got 0"):
        versions.current_version(tmp_path)


def test_bytes_are_as_those_of_a_file_and_say_what_was_noted(tmp_path):
    name, data = versions.pack_state(state(), note={"requests": 7})
    assert name == versions.save_version(tmp_path, state(), note={"requests": 7})
    for each in (data, (tmp_path / f"{name}.safetensors").read_bytes()):
        found, note = versions.unpack_state(each, state(0.0), name)
        assert note == {"requests": 7}
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(state()), strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    other, _ = versions.pack_state(state(2.0))
    with pytest.raises(ValueError, match="of the store: its content is not what its name says"):
        versions.unpack_state(data, state(), other, where="of the store")
    for damaged in (b"", b"short", data[:-1], bytes(8) + data[8:]):
        with pytest.raises(ValueError, match="damaged|format"):
            versions.unpack_state(damaged, state(), name)
