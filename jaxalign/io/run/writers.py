"""The files of a training run: ``metrics.jsonl`` (one JSON object per line) and TensorBoard events."""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxalign.io import line_file
from jaxalign.numerics import Ratio

METRICS = "metrics.jsonl"


class MetricsWriter:
    """Appends rows of numbers to ``metrics.jsonl`` and to TensorBoard events. A context manager that closes the files.

    Args:
      directory: the folder of the run; it is made.
      last_step: rows of later steps, and a line that was cut off, are removed first: a run that continues from a
        checkpoint writes them anew.

    Raises:
      ValueError: a line that stays is damaged.
    """

    def __init__(self, directory: str | pathlib.Path, *, last_step: int = 0):
        # It imports torch where there is one, which takes seconds: only whoever writes waits for that.
        from tensorboardX import SummaryWriter

        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / METRICS).exists():
            _remove_rows_after(directory / METRICS, last_step)
        self._rows = line_file.Writer(directory / METRICS, promise="it continues from the newest checkpoint")
        self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=last_step + 1 if last_step else None)

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *exception):
        self._rows.close()
        self._events.close()

    def write(self, step: int, values: Mapping[str, float]):
        """Writes a row; numbers that are not finite become null in JSON.

        Args:
          step: the number of the step.
          values: its metrics by name.

        Raises:
          OSError: it could not be written; names the step, the file and the remedy.
        """
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._rows.append(json.dumps({"step": step, **row}), f"step {step}")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)


def resolve(metrics: Mapping[str, Ratio | float | int]) -> dict[str, float]:
    """Returns metrics as numbers, by name in alphabetical order.

    Args:
      metrics: host copies of metrics. A Ratio is divided; it is 0 where nothing was counted.
    """
    return {
        name: _divide(*metric) if isinstance(metric, Ratio) else float(metric)
        for name, metric in sorted(metrics.items())
    }


def read_metrics(directory: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of ``metrics.jsonl``, null as NaN; a last line that was cut off is left out.

    Args:
      directory: the folder of the run.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is damaged; names the file, the line and the remedy.
    """
    return [
        {name: math.nan if value is None else value for name, value in row.items()}
        for row in line_file.read_rows(pathlib.Path(directory) / METRICS)
    ]


def _divide(numerator, denominator) -> float:
    return float(np.float64(numerator) / np.float64(denominator)) if denominator else 0.0


def _remove_rows_after(path: pathlib.Path, last_step: int) -> None:
    """Cuts the file behind ``last_step``: rows stand in the order of their steps."""
    end = 0
    for row, place in line_file.read_on(path):
        if row["step"] > last_step:
            break
        end = place.bytes
    os.truncate(path, end)
