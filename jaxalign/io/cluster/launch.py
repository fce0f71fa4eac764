"""What an experiment does once, before anything else: join the other processes, and keep compiled programs."""

import importlib.util
import logging
import os
import pathlib
from collections.abc import Mapping

import jax

from jaxalign.io.cluster import heartbeat


def initialize(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    cache_dir: str | pathlib.Path | None = None,
):
    """Joins the other processes of the run, if there are any, and turns on the persistent compilation cache.

    Without arguments a run is distributed where Slurm, Open MPI, Kubernetes (an indexed job) or a Cloud TPU started it,
    with what JAX detects there; otherwise it is one process. Processes other than 0 log errors only. A process whose
    peer dies ends with a message, see :mod:`jaxalign.io.cluster.heartbeat`.

    Args:
      coordinator: ``host:port`` of process 0, on a cluster of another kind; given together with the next two.
      num_processes: how many processes the run has.
      process_id: the number of this one, from 0.
      cache_dir: the folder of compiled programs; by default what the environment variable
        ``JAX_COMPILATION_CACHE_DIR`` says, or else, on accelerators, ``~/.cache/jaxalign``.

    Raises:
      ValueError: only some of ``coordinator``, ``num_processes`` and ``process_id`` are given.
    """
    explicit = (coordinator, num_processes, process_id)
    if any(value is not None for value in explicit):
        if None in explicit:
            raise ValueError(
                "coordinator, num_processes and process_id go together; "
                f"got coordinator={coordinator!r}, num_processes={num_processes!r}, process_id={process_id!r}"
            )
        jax.distributed.initialize(coordinator, num_processes, process_id)
    elif started_by_cluster(os.environ) or _is_tpu_machine():
        jax.distributed.initialize()
    if jax.process_count() > 1:
        heartbeat.watch()
    keep_programs(cache_dir)
    if not is_main():
        logging.getLogger().setLevel(logging.ERROR)


def is_main() -> bool:
    """True in the process that writes logs, metrics and reports: process 0."""
    return jax.process_index() == 0


def started_by_cluster(environment: Mapping[str, str]) -> bool:
    """Says whether a cluster started this process together with others.

    Args:
      environment: the environment variables by name.
    """
    return (
        int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1
        or int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1
        or {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys()
        or "," in environment.get("TPU_WORKER_HOSTNAMES", "")
        or "MEGASCALE_COORDINATOR_ADDRESS" in environment
    )


def _is_tpu_machine() -> bool:
    """A Cloud TPU machine learns its place in a pod from a metadata server, which JAX asks."""
    devices = ("/dev/accel0", "/dev/vfio/0")
    return importlib.util.find_spec("libtpu") is not None and any(map(os.path.exists, devices))


def keep_programs(cache_dir: str | pathlib.Path | None = None) -> None:
    """Turns on the persistent compilation cache: what is compiled once is read the next time, minutes earlier.

    Args:
      cache_dir: as for :func:`initialize`.
    """
    # XLA writes CPU programs for the machine at hand; reading them back, it logs errors about CPU features every time.
    if cache_dir is None and (jax.config.jax_compilation_cache_dir or jax.default_backend() == "cpu"):
        return
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(cache_dir or pathlib.Path(root) / "jaxalign"))
