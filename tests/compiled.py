"""What XLA compiled for the tests is kept on this machine, so that the next run of them need not compile it.

Each process has a folder of its own with hard links to what is kept: JAX writes an entry in place, so that another
process may read half of it. After tests that all passed, new entries are linked back, whole or not at all.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import tempfile
import time

LIMIT = 2 * 2**30  # bytes: programs of code that is gone are never asked for again, so above it all are dropped
DAY = 24 * 3600


def features():
    """What this machine's code may use: compiled for another one it could crash."""
    cpu = pathlib.Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else [platform.processor()]
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}) or lines[:1]


def kept(flags):
    """The folder for this JAX, this machine and these XLA ``flags``."""
    known = [importlib.metadata.version(name) for name in ("jax", "jaxlib")] + [flags, platform.machine(), *features()]
    key = hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(cache) / "jaxalign-tests" / key
    folder.mkdir(parents=True, exist_ok=True)
    if sum(entry.stat().st_size for entry in os.scandir(folder)) > LIMIT:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    return folder


def link(source, target):
    """Hard links in ``target`` to each entry of ``source`` that it lacks."""
    for entry in os.scandir(source):
        # Another run may have been first, or may have dropped all.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(entry.path, os.path.join(target, entry.name))


def copy(source):
    """A folder beside ``source`` with all that it has, which lasts as long as what is returned."""
    beside = pathlib.Path(source).parent
    for left in beside.glob("process-*"):  # by processes that were killed
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.TemporaryDirectory(dir=beside, prefix="process-", ignore_cleanup_errors=True)
    link(source, folder.name)
    return folder
