"""Programs that run side by side on this machine as the processes of one run."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
DEVICES = 8  # of all processes together
# Tests spend their time in the compiler. Without LLVM's optimisations, and with XLA's older emitter of fusions, it
# takes a quarter of the CPU time.
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
# Many programs were compiled before, as another function or in another process. Each worker has a folder of its own,
# since JAX lets a process read what another has half written.
COMPILED = tempfile.TemporaryDirectory(prefix="jaxalign-tests-")


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def run_together(commands):
    """``python COMMAND`` for each, with an equal share of the devices; their exit codes, and what they wrote."""
    flags = f"{FAST_COMPILATION} --xla_force_host_platform_device_count={DEVICES // len(commands)}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # of one folder for all of them
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, env=environment, **pipes)
        for command in commands
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return [process.returncode for process in started], *zip(*outputs, strict=True)
