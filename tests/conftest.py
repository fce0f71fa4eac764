"""Tests run stricter than users do: eight fake devices, no silent rank promotion, NaN checks, shape checks.

Environment variables are set before jax is imported, hence the order.
"""

import gc
import os
import pathlib

from tests import checked, compiled, processes

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        f"--xla_force_host_platform_device_count={processes.DEVICES}",
        processes.FAST_COMPILATION,
    ]
)
os.environ["JAX_COMPILATION_CACHE_DIR"] = processes.COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"  # of GPUs; their paths would be part of each entry's key
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads wait for each other longer than tiny matrices take

import hypothesis
import jax
import pytest

from tests import contexts

hypothesis.settings.register_profile("no clock", deadline=None)  # machines are shared, and tests hold no timings
hypothesis.settings.load_profile("no clock")
checked.install()  # before anything of jaxalign is imported
contexts.install()
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_traceback_in_locations_limit", 0)  # lines of the source take 3 % of the time, and none is read

pytest_plugins = ["tests.costs"]
MOST_MAPPINGS = 30_000
SHARED_DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_finish():
    """What was imported and collected lives to the end, so the collector of garbage need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(400_000, 20, 100)


def pytest_sessionfinish(exitstatus):
    if exitstatus == 0:
        compiled.link(processes.COMPILED.name, processes.KEPT)


@pytest.fixture(autouse=True, scope="module")
def few_mappings():
    """Compiled programs are let go before a worker runs out of memory mappings, at which XLA crashes.

    Linux grants 65,530 to a process, and each program takes a dozen: a worker's share of all tests needs more.
    """
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real data beside the checkout; see each folder's README."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data folder {SHARED_DATA} is missing")
    return SHARED_DATA


@pytest.fixture
def allow_nans():
    """For tests that put NaN into masked entries on purpose."""
    with jax.debug_nans(False):
        yield


@pytest.fixture
def float64():
    """For tests against float64 references."""
    with jax.enable_x64(True):
        yield
