import functools
import gc
import json
import logging
import resource
import shutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import sharding, training
from jaxalign.io.run import checkpoints, integrity
from jaxalign.io.run.checkpoints import Checkpoints

OPTIMIZER = training.adamw(1e-2)
RULES = sharding.Rules({"up": ("embed", "mlp")})


def make_params(seed, rows):
    rng = np.random.default_rng(seed)
    return {"up": jnp.asarray(rng.normal(size=(rows, 8)), jnp.float32), "half": jnp.ones(4, jnp.bfloat16)}


@functools.cache
def on_host(seed, rows):
    return jax.device_get(training.init_state(make_params(seed, rows), OPTIMIZER))


def make_state(seed=0, rows=16):
    """Arrays that nothing else holds: a restore frees them."""
    return jax.device_put(on_host(seed, rows))


def assert_same(ours, theirs):
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "saved"
    with Checkpoints(folder) as saved:
        for step in (1, 2):
            saved.save(step, make_state(step), {"next": step})
    return folder


@pytest.fixture
def two(saved_once, tmp_path):
    """Checkpoints of steps 1 and 2 with different states."""
    return shutil.copytree(saved_once, tmp_path / "saved")


def test_round_trip(two):
    with Checkpoints(two) as saved:
        assert saved.steps == [1, 2]
        assert saved.newest() == 2
        template = make_state()
        state, data_state = saved.restore(2, template)
    assert_same(state, make_state(2))
    assert isinstance(state, training.TrainState) and data_state == {"next": 2}
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(template))  # the memory is free for what is read


def test_the_newest_n_stay(tmp_path):
    with Checkpoints(tmp_path, keep=2) as saved:
        for step in (1, 2, 3, 4):
            saved.save(step, make_state(), {})
        saved.wait()
        assert saved.steps == [3, 4]
        saved.discard_after(3)
        assert saved.steps == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["3"]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_damage_to_any_file_is_noticed_or_harmless(damage, two, tmp_path):
    files = [path.relative_to(two) for path in (two / "2").rglob("*") if path.is_file() and path.stat().st_size]
    assert len(files) > 10
    harmless = set()
    for file in files:
        copy = tmp_path / "copy"
        shutil.copytree(two, copy)
        damage(copy / file)
        with warnings.catch_warnings(record=True) as caught, Checkpoints(copy) as saved:
            warnings.simplefilter("always")
            newest = saved.newest()
            state, data_state = saved.restore(newest, make_state())
        assert_same(state, make_state(newest))
        assert data_state == {"next": newest}
        if newest == 2:
            harmless.add(file.name)
        else:
            assert [str(copy / "2") in str(warning.message) for warning in caught] == [True]
        shutil.rmtree(copy)
    assert harmless <= {"_CHECKPOINT_METADATA", "commit_success.txt"}


def test_any_flipped_bit_of_the_manifest_is_noticed(tmp_path):
    (tmp_path / "a").write_bytes(b"contents")
    integrity.write_manifest(tmp_path)
    assert integrity.find_damage(tmp_path) is None
    manifest = tmp_path / integrity.MANIFEST
    original = manifest.read_bytes()
    for position in range(len(original)):
        for bit in (1, 4, 32, 128):
            data = bytearray(original)
            data[position] ^= bit
            manifest.write_bytes(bytes(data))
            # An indentation by a tab or a line feed says the same; nothing else passes.
            assert integrity.find_damage(tmp_path) or original[position : position + 1].isspace()


def test_another_mesh(tmp_path):
    save_mesh, load_mesh = sharding.make_mesh(fsdp=8), sharding.make_mesh(data=2, fsdp=2, tensor=2)
    with Checkpoints(tmp_path) as saved:
        saved.save(1, training.init_state(make_params(1, 16), OPTIMIZER, mesh=save_mesh, rules=RULES), {})
        saved.wait()
        template = training.init_state(make_params(0, 16), OPTIMIZER, mesh=load_mesh, rules=RULES)
        shardings = jax.tree.map(lambda leaf: leaf.sharding, template)
        state, _ = saved.restore(1, template)
    assert_same(state, make_state(1))
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == shardings
    assert {shard.data.shape for shard in state.params["up"].addressable_shards} == {(8, 4)}


def test_a_state_with_other_arrays_is_an_error(two):
    with Checkpoints(two) as saved:
        with pytest.raises(ValueError, match=r"params/up is float32\[16, 8\] there and float32\[32, 8\] here"):
            saved.restore(2, make_state(rows=32))
        other = training.init_state({"up": jnp.zeros((16, 8)), "down": jnp.zeros(2)}, OPTIMIZER)
        with pytest.raises(ValueError, match=r"opt_state/1/0/mu/down is absent there and float32\[2\] here.*6 diff"):
            saved.restore(2, other)
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(other))


@pytest.mark.parametrize(("positions", "expected"), [((2, 2), 2), ((2, 3), None)])
def test_another_number_of_processes_needs_a_position_that_all_share(two, positions, expected):
    (path,) = (two / "2" / "data").glob("metadata")
    path.write_text(json.dumps({"processes": [{"next": position} for position in positions]}))
    with Checkpoints(two) as saved:
        if expected:
            assert saved.restore(2, make_state())[1] == {"next": expected}
        else:
            with pytest.raises(ValueError, match="of 2 processes; this run has 1"):
                saved.restore(2, make_state())


def test_a_data_state_that_is_no_json_is_an_error(tmp_path):
    with Checkpoints(tmp_path) as saved, pytest.raises(TypeError, match="not JSON serializable"):
        saved.save(1, make_state(), {"next": object()})


@pytest.fixture
def small_disk():
    """A context in which no file may grow beyond 1 KB: the write fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Orbax leaves coroutines of the failed save, some never awaited, which warn when they go: here, not in another
    # test. Records of a log would keep them.
    logging.disable()
    yield functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    gc.collect()
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_loses_nothing(two, small_disk):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match=r"checkpoint 3 could not be written.*Complete checkpoints: 1, 2\. Free space"):
        with Checkpoints(two) as saved:
            state = make_state(3, rows=256)
            small_disk()
            saved.save(3, state, {})
            saved.wait()
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # What goes on is another process; in this one, threads of the failed save may still remove their files.
    moved = two.rename(two.with_name("moved"))
    with Checkpoints(moved) as saved:
        assert saved.newest() == 2
        saved.save(3, make_state(3), {})
    with Checkpoints(moved) as saved:
        assert saved.steps == [1, 2, 3]


def test_load_params(two):
    assert_same(checkpoints.load_params(two), make_state(2).params)
    assert_same(checkpoints.load_params(two, step=1), make_state(1).params)
    assert type(checkpoints.load_params(two)["up"]) is np.ndarray
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 7 in .*; there are \[1, 2\]"):
        checkpoints.load_params(two, step=7)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        checkpoints.load_params(two / "nowhere")
    truncate(two / "2" / "state" / "_METADATA")
    with pytest.raises(ValueError, match=r"2 is damaged: state/_METADATA has .* choose a step from \[1, 2\]"):
        checkpoints.load_params(two)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_old_checkpoint_goes_when_the_new_one_is_complete(two, small_disk):
    """A save that fails takes none of the two that are kept, neither at once nor when the run ends."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match=r"checkpoint 3 could not be written.*Complete checkpoints: 1, 2\. Free space"):
        with Checkpoints(two, keep=2) as saved:
            state = make_state(3, rows=256)
            small_disk()
            saved.save(3, state, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with Checkpoints(two.rename(two.with_name("moved")), keep=2) as saved:
        assert saved.steps == [1, 2]
