"""All tables of one accelerator within a time, the most telling first: ``./tools/run tools.accelerator --out FILE``.

Every part is ``tools.bench`` in a process of its own, so that none leaves memory to the next and none that dies takes
the others along; what has been printed by then stays. Rows reach ``--out`` as they are measured.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

import tyro

from jaxalign.io import edge

GRACE = 45.0  # seconds beyond a part's share for the row that it is at


class Part(NamedTuple):
    """Arguments of ``tools.bench``, the most seconds that they get, and what the process has in its environment."""

    arguments: tuple[str, ...]
    seconds: float
    environment: Mapping[str, str] = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}


# What XLA finds out about a kernel, the next program need not: most of a compilation's time is spent on that.
CACHE = {"JAX_COMPILATION_CACHE_DIR": str(pathlib.Path(tempfile.gettempdir(), "jaxalign-accelerator"))}
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # torch needs memory too
OTHERS = ("Gemma-2-2B", "Qwen3-1.7B")
PARTS = {
    "training": Part(("--table", "training_grid", "--models", "Qwen3-0.6B"), 150),
    "shared": Part(("--table", "shared_prompt", "--rounds", "5"), 45),
    "decoding": Part(("--table", "generation", "--models", "Qwen3-0.6B", "--rounds", "3"), 75, SHARED),
    "attention": Part(("--table", "attention", "--rounds", "5"), 90),
    "trl": Part(("--peer", "trl", "--rounds", "5"), 100, SHARED),
    "kernels": Part(("--table", "kernels", "--rounds", "10"), 60),
    "training-others": Part(("--table", "training_grid", "--models", *OTHERS), 150),
    "decoding-others": Part(("--table", "generation", "--models", *OTHERS, "--rounds", "3"), 100, SHARED),
}


def main(out: pathlib.Path, seconds: float = 480.0, parts: tuple[str, ...] = tuple(PARTS)) -> None:
    """Measure within a time.

    Args:
        out: a file that gets the tables; what it holds stays.
        seconds: of all parts together.
        parts: which of training, shared, decoding, attention, trl, kernels, training-others and decoding-others, in
            this order.
    """
    edge.check_least(1, seconds=seconds)
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise SystemExit(f"there is no part {unknown[0]!r}; choose among {', '.join(PARTS)}")
    deadline = time.monotonic() + seconds
    with out.open("a") as file:
        for name in parts:
            part = PARTS[name]
            left = min(part.seconds, deadline - time.monotonic())
            if left < 1:
                write(f"\nNot begun for lack of time: {name}.", file)
                continue
            arguments = ("-m", "tools.bench", *part.arguments, "--seconds", f"{left:.0f}")
            code = run([sys.executable, *arguments], {**CACHE, **part.environment}, left + GRACE, file)
            if code:
                write(f"\n{name} ended with {code}.", file)


def run(command: Sequence[str], environment: Mapping[str, str], seconds: float, file: IO[str]) -> int:
    """The exit code; what the command prints goes on as it comes. It is killed after so many seconds."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                write(line.removesuffix("\n"), file)
            return process.wait()
        finally:
            timer.cancel()
            process.kill()


def write(line: str, file: IO[str]) -> None:
    """Writes a line to the terminal and to the file, at once."""
    print(line, flush=True)
    print(line, file=file, flush=True)


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
