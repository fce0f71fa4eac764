"""The metrics of a run, from the device to files and the progress display, one step late."""

import contextlib
import math
import pathlib
from collections.abc import Callable, Mapping

import jax

from jaxalign.files import write_json
from jaxalign.io.cluster import launch
from jaxalign.io.run.progress import Progress
from jaxalign.io.run.spent import Spent
from jaxalign.io.run.timing import Timing
from jaxalign.io.run.writers import MetricsWriter, resolve
from jaxalign.numerics import Ratio

SUMMARY = "summary.json"


class NotFiniteError(Exception):
    """The loss or gradient of a step is not finite.

    Args:
      step: the number of the step, from 1.
      symptom: what is not finite, in words.
    """

    def __init__(self, step: int, symptom: str):
        super().__init__(step, symptom)
        self.step, self.symptom = step, symptom


class Logbook(contextlib.ExitStack):
    """Reads the metrics of a step while the next one runs; process 0 writes and shows them. A context manager.

    ``tokens`` among the metrics is a count: its numerator makes tokens per second.

    Args:
      directory: the folder of the run.
      name: what the progress display calls the run.
      start: the step from which it continues.
      num_steps: the last step.
      log_every: steps between rows of ``metrics.jsonl``.
      timing: told when a step has finished.
      watch: called with the number of a step and its metrics; None for nothing.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        name: str,
        start: int,
        num_steps: int,
        log_every: int,
        timing: Timing,
        watch: Callable[[int, Mapping[str, float]], None] | None = None,
    ):
        super().__init__()
        self._directory, self._num_steps, self._log_every, self._timing = directory, num_steps, log_every, timing
        self._watch = watch or (lambda step, values: None)
        self._running: tuple[int, Mapping[str, Ratio]] | None = None
        self._step, self._values, self._tokens = start, {}, 0.0
        main = launch.is_main()
        self._writer = self.enter_context(MetricsWriter(directory, last_step=start)) if main else None
        self._spent = self.enter_context(Spent(directory)) if main else None
        self._progress = self.enter_context(Progress(name, num_steps, start=start, show=main))

    def add(self, step: int, metrics: Mapping[str, Ratio]):
        """Takes the metrics of a step that still runs, and writes those of the step before.

        Args:
          step: the number of the step, from 1.
          metrics: its metrics, on the device.

        Raises:
          NotFiniteError: the step before has a loss or gradient that is not finite.
          OSError: a row could not be written.
        """
        if self._running is not None:
            self.fetch()
            self.write({})
        self._running = step, metrics

    def fetch(self):
        """Waits for the step that runs; :meth:`write` follows.

        Raises:
          NotFiniteError: its loss or gradient is not finite.
        """
        self._step, metrics = self._running
        self._running = None
        metrics = jax.device_get(dict(metrics))
        self._timing.step_finished()
        self._values = resolve(metrics)
        bad = [name for name in ("loss", "grad_norm") if not math.isfinite(self._values.get(name, 0.0))]
        if bad:
            raise NotFiniteError(self._step, " and ".join(f"{name} is {self._values[name]}" for name in bad))
        tokens = float(metrics["tokens"].numerator) if "tokens" in metrics else 0.0
        self._tokens += tokens
        self._progress.update(self._step, self._values, tokens)
        self._watch(self._step, self._values)

    def write(self, evaluation: Mapping[str, float]):
        """Writes the row of the step that was fetched.

        Args:
          evaluation: what an evaluation after that step found, by name; empty for none.

        Raises:
          OSError: it could not be written.
        """
        self._values |= {f"eval/{name}": value for name, value in evaluation.items()}
        due = self._step % self._log_every == 0 or self._step == self._num_steps or evaluation
        if due and self._writer is not None:
            self._writer.write(self._step, self._values)
        if self._spent is not None:
            self._spent.note()

    def write_summary(self):
        """Writes ``summary.json``: the last metrics, and where the time went since this process started the run.

        ``seconds`` is what all ``processes`` have taken that worked on the run, those that were killed too.
        """
        summary = {"step": self._step, "metrics": self._values, **self._timing.summary()}
        if self._tokens:
            summary["tokens_per_second"] = self._tokens / summary["seconds"]
        if self._spent is not None:
            self._spent.write()
            summary |= {"seconds": self._spent.seconds, "processes": self._spent.processes}
            write_json(self._directory / SUMMARY, summary)
