"""The processes of a server: begun together, begun anew when one ends, ended together."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

LOOK_SECONDS = 0.2
LONGEST_PAUSE = 10.0  # seconds before a process that keeps ending is begun again
STEADY_SECONDS = 30.0  # after which a process counts as healthy
GRACE_SECONDS = 35.0  # for a process that is told to end


class Process(NamedTuple):
    """One process to keep up."""

    name: str
    arguments: Sequence[str]  # behind ``python``
    grace_seconds: float = GRACE_SECONDS  # for which it may go on when it is told to end


class _Kept:
    """A process and its luck."""

    def __init__(self, process: Process):
        self.process, self.running = process, None
        self.pause, self.begun, self.again = 0.5, 0.0, 0.0

    def begin(self) -> None:
        self.running = subprocess.Popen([sys.executable, *self.process.arguments], start_new_session=True)
        self.begun = time.monotonic()

    def look(self, tell: Callable[[str], None]) -> None:
        """Begins the process again when it ended and its pause is over."""
        now = time.monotonic()
        if self.running is None:
            if now >= self.again:
                self.begin()
            return
        code = self.running.poll()
        if code is None:
            return
        self.pause = 0.5 if now - self.begun > STEADY_SECONDS else min(2 * self.pause, LONGEST_PAUSE)
        self.running, self.again = None, now + self.pause
        tell(f"the {self.process.name} ended with status {code}; it is begun again in {self.pause:.1f} s")

    def end(self, kind: signal.Signals, seconds: float) -> None:
        if self.running is None:
            return
        self.running.send_signal(kind)
        try:
            self.running.wait(seconds)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()


def keep_running(processes: Sequence[Process], tell: Callable[[str], None], stop: threading.Event) -> None:
    """Keeps processes running until it is told to stop; then ends them, the last ones first.

    Args:
      processes: in the order in which they are begun.
      tell: called with what happens to them.
      stop: set when they are to end.
    """
    kept = [_Kept(each) for each in processes]
    try:
        for each in kept:
            each.begin()
        while not stop.wait(LOOK_SECONDS):
            for each in kept:
                each.look(tell)
    finally:
        for each in reversed(kept):
            each.end(signal.SIGTERM, each.process.grace_seconds)


def end_with_parent() -> None:
    """Ends this process, as SIGTERM does, when the process that began it is gone, even if that one was killed."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def socket_path(folder: str) -> str:
    """Returns the path of the worker's socket.

    Args:
      folder: of the server. A path that is too long for a socket is replaced by one in the folder for temporary files.
    """
    path = pathlib.Path(folder).resolve() / "worker.sock"
    if len(os.fsencode(path)) < 100:
        return str(path)

    return str(
        pathlib.Path(tempfile.gettempdir()) / f"jaxalign-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"
    )
