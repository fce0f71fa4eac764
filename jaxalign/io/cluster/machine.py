"""What a run ran on, and which code it was, in words for reports and tables."""

import os
import pathlib
import platform
import re
import subprocess

import jax
import jaxlib

import jaxalign

_ROOT = pathlib.Path(jaxalign.__file__).parents[1]


def describe_hardware() -> str:
    """Returns in words what this run is on: its accelerators, the processor, and how many processes there are."""
    device = jax.devices()[0]
    cpu = f"{_cpu_name()}, {os.cpu_count()} cores"
    hardware = cpu if device.platform == "cpu" else f"{jax.device_count()} x {device.device_kind} ({cpu})"
    return hardware + (f", {jax.process_count()} processes" if jax.process_count() > 1 else "")


def describe_versions() -> str:
    """Returns the versions of JAX, jaxlib and Python in words."""
    return f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, Python {platform.python_version()}"


def describe_code(root: pathlib.Path = _ROOT) -> str:
    """Returns the version of jaxalign and the commit of its checkout, as ``git describe`` names it, if it is in one.

    A commit with changes that are not in it ends with ``-dirty``.

    Args:
      root: the folder of the checkout.
    """
    version = f"jaxalign {jaxalign.__version__}"
    if not (root / ".git").exists():
        return version
    command = ("git", "-C", str(root), "describe", "--always", "--dirty", "--tags")
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return version
    commit = found.stdout.strip()
    return f"{version}, commit {commit}" if found.returncode == 0 and commit else version


def _cpu_name() -> str:
    path = pathlib.Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return found[1] if found else platform.processor() or platform.machine()
