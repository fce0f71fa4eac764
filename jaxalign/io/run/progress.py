"""How far a run is: a bar on a terminal, a line now and then anywhere else (a log file, a scheduler's output)."""

import sys
import time
from collections.abc import Mapping

import tqdm

_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Shows step, loss, tokens per second and time left, on stderr. A context manager.

    Args:
      name: what stands before the bar or line.
      num_steps: the last step.
      start: steps that were done before.
      show: False for silence.
    """

    def __init__(self, name: str, num_steps: int, *, start: int = 0, show: bool = True):
        self._name, self._num_steps, self._start = name, num_steps, start
        self._began = self._shown = time.monotonic()
        self._step, self._tokens = start, 0.0
        self._lines = show and not sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=num_steps, initial=start, desc=name, unit="step", dynamic_ncols=True, disable=self._lines or not show
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception):
        self._bar.close()

    def update(self, step: int, values: Mapping[str, float], tokens: float):
        """Shows that a step has finished.

        Args:
          step: how many steps are done.
          values: their metrics by name, of which ``loss`` is shown.
          tokens: how many tokens were worked on since the last call.
        """
        self._tokens += tokens
        shown = {"loss": f"{values['loss']:.4g}"} if "loss" in values else {}
        if self._tokens:
            shown["tokens/s"] = f"{self._tokens / max(time.monotonic() - self._began, 1e-9):,.0f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step - self._step)
        self._step = step
        due = step == self._num_steps or time.monotonic() - self._shown > _SECONDS_BETWEEN_LINES
        if self._lines and (due or step == self._start + 1):
            self._shown = time.monotonic()
            print(f"{self._name}: {self._line(shown)}", file=sys.stderr, flush=True)

    def _line(self, shown: Mapping[str, str]) -> str:
        done = self._step - self._start
        left = (time.monotonic() - self._began) / done * (self._num_steps - self._step)
        details = [f"{name} {value}" for name, value in shown.items()]
        return ", ".join([f"step {self._step}/{self._num_steps}", *details, f"{tqdm.tqdm.format_interval(left)} left"])
