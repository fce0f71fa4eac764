"""Programs that run side by side on this machine as the processes of one run."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys

from tests import compiled

ROOT = pathlib.Path(__file__).parents[1]
DEVICES = 8  # of all processes together
# Tests spend their time in the compiler. Without LLVM's optimisations, with XLA's older emitter of fusions and with one
# module of machine code for a program instead of up to 32, it takes a quarter of the CPU time.
WANTED = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)


def known_flags(flags):
    """Those of ``flags`` that this XLA knows: it aborts the process at an unknown one, so a child is asked."""
    client = "import jax; jax.local_devices()"
    known = list(flags)
    while known:
        environment = {**os.environ, "XLA_FLAGS": " ".join(known), "JAX_PLATFORMS": "cpu"}
        child = subprocess.run([sys.executable, "-c", client], env=environment, capture_output=True, text=True)
        if child.returncode == 0:
            return known
        unknown = [flag for flag in known if flag in child.stderr]
        if not unknown:
            raise RuntimeError(f"jaxlib makes no CPU client with XLA_FLAGS {' '.join(known)!r}:\n{child.stderr}")
        known = [flag for flag in known if flag not in unknown]
    return known


# Workers and children of the tests are told what their parent has found.
FAST_COMPILATION = os.environ.get("JAXALIGN_FAST_COMPILATION")
if FAST_COMPILATION is None:
    FAST_COMPILATION = os.environ["JAXALIGN_FAST_COMPILATION"] = " ".join(known_flags(WANTED))
KEPT = compiled.kept(FAST_COMPILATION)
COMPILED = compiled.copy(KEPT)  # for this process: programs that were compiled before, as another function or test


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def run_together(commands, devices=DEVICES):
    """``python COMMAND`` for each, with an equal share of so many devices; their exit codes, and what they wrote."""
    flags = f"{FAST_COMPILATION} --xla_force_host_platform_device_count={devices // len(commands)}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    own = environment["JAX_COMPILATION_CACHE_DIR"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        started = []
        folders = [stack.enter_context(compiled.copy(own)) for _ in commands]
        for command, folder in zip(commands, folders, strict=True):
            command, environment["JAX_COMPILATION_CACHE_DIR"] = [sys.executable, *map(str, command)], folder
            started.append(stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)))
        try:
            outputs = [process.communicate(timeout=200) for process in started]
        finally:
            for process in started:
                process.kill()
        codes = [process.returncode for process in started]
        for folder in folders if not any(codes) else ():
            compiled.link(folder, own)
    return codes, *zip(*outputs, strict=True)
