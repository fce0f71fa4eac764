import subprocess
import sys

import jax
import pytest

from jaxalign.io.cluster import launch


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8"}, False),  # a batch script without srun: one process
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a pod on its own
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "a"}, True),
    ],
)
def test_what_counts_as_several_processes(environment, expected):
    assert launch.started_by_cluster(environment) is expected


def test_explicit_arguments_go_together():
    with pytest.raises(ValueError, match=r"go together; got coordinator='a:1', num_processes=None, process_id=0"):
        launch.initialize(coordinator="a:1", process_id=0)


@pytest.fixture
def compilation_cache():
    before = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_the_compilation_cache(compilation_cache, tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", "/from/environment")  # as JAX_COMPILATION_CACHE_DIR would
    launch.initialize()
    assert jax.config.jax_compilation_cache_dir == "/from/environment"
    launch.initialize(cache_dir=tmp_path)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    jax.config.update("jax_compilation_cache_dir", None)
    launch.initialize()
    assert jax.config.jax_compilation_cache_dir is None  # on a CPU
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    launch.keep_programs()  # as tools do, of one process each
    assert jax.config.jax_compilation_cache_dir == "/cache/jaxalign"


def test_importing_io_loads_nothing_heavy():
    program = "import sys, jaxalign.io; print([m for m in ('jax', 'orbax', 'grain', 'tqdm') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
