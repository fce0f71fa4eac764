"""``seconds.json``: how long each process worked on a run, so that a run which was killed still knows what it cost."""

import contextlib
import json
import pathlib
import time

from jaxalign.files import write_json

NAME = "seconds.json"
PAUSE = 1.0  # seconds between two notes: what a killed process takes with it at most, beside its last step


class Spent:
    """The seconds of this process, which begin now, beside those of the processes before it. A context manager.

    Args:
      directory: the folder of the run.
    """

    def __init__(self, directory: pathlib.Path):
        self._file = directory / NAME
        self._before: list[float] = json.loads(self._file.read_text()) if self._file.exists() else []
        self._start, self._noted = time.perf_counter(), 0.0

    def __enter__(self) -> "Spent":
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):  # a disk that is full is told by what did not fit
            self.write()

    @property
    def processes(self) -> int:
        """How many have worked on the run."""
        return len(self._before) + 1

    @property
    def seconds(self) -> float:
        """The seconds of all processes."""
        return sum(self._before) + self._own()

    def note(self) -> None:
        """Writes the file, unless it was written a moment ago."""
        if self._own() - self._noted >= PAUSE:
            self.write()

    def write(self) -> None:
        """Writes the file."""
        self._noted = self._own()
        write_json(self._file, [*self._before, round(self._noted, 3)], sync=False)

    def _own(self) -> float:
        return time.perf_counter() - self._start
