"""Where the time of a run goes."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

_COMPILATION = "/jax/core/compile/"
_BACKEND = "/jax/core/compile/backend_compile_duration"

ENOUGH_STEPS = 20
LIMITING_SHARE = 0.2


class Timing:
    """Step times, waiting times and compilations of a run; a context manager that listens to JAX meanwhile."""

    def __init__(self):
        self._start = self._last_step = time.perf_counter()
        self._steps: list[float] = []
        self._seconds: dict[str, float] = {}
        self._early_data = 0.0
        self._compile_seconds = 0.0
        self._compiled = self._recompiled = self._calls = 0

    def __enter__(self) -> "Timing":
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *exception):
        jax.monitoring.unregister_event_duration_listener(self._listen)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Counts the time inside as a wait, so that it can be told apart from computing.

        Args:
          what: what is waited for, such as ``data``.

        Returns:
          A context manager.
        """
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        if what == "data" and not self._steps:
            self._early_data += seconds
        self._seconds[what] = self._seconds.get(what, 0.0) + seconds

    @contextlib.contextmanager
    def calling_step(self) -> Iterator[None]:
        """Counts a compilation inside as a recompilation, from the second call on."""
        compiled = self._compiled
        yield
        self._recompiled += self._calls > 0 and self._compiled > compiled
        self._calls += 1

    def step_finished(self):
        """The metrics of a step have arrived."""
        now = time.perf_counter()
        self._steps.append(now - self._last_step)
        self._last_step = now

    def data_share(self) -> float:
        """The part of the time after the first step in which the loop waited for data."""
        waited = self._seconds.get("data", 0.0) - self._early_data
        return waited / max(sum(self._steps[1:]), 1e-9) if len(self._steps) > 1 else 0.0

    def advice(self) -> str | None:
        """What to change where data loading is what limits; None where it is not, or too few steps tell."""
        share = self.data_share()
        if len(self._steps) < ENOUGH_STEPS or share < LIMITING_SHARE:
            return None
        return (
            f"steps waited for data {share:.0%} of the time. Prepare it in processes (num_workers of the data set), on "
            "faster storage, or in a cheaper form"
        )

    def summary(self) -> dict[str, Any]:
        """Seconds by cause, and percentiles of the time between finished steps; the first, which compiles, left out."""
        steps = self._steps[1:] or self._steps or [0.0]
        percentiles = {f"step_seconds_p{p}": float(np.percentile(steps, p)) for p in (50, 90, 99)}
        return {
            "steps": len(self._steps),
            "seconds": time.perf_counter() - self._start,
            **percentiles,
            **{f"{what}_seconds": seconds for what, seconds in sorted(self._seconds.items())},
            "data_share": self.data_share(),
            "compile_seconds": self._compile_seconds,
            "recompilations": self._recompiled,
        }

    def report(self) -> str:
        """The summary as a line to read."""
        found = self.summary()
        steps = ", ".join(f"{1e3 * found[f'step_seconds_p{p}']:.3g} ms at {p} %" for p in (50, 90, 99))
        return (
            f"{found['steps']} steps in {found['seconds']:.1f} s; a step {steps}; {found['compile_seconds']:.1f} s of "
            f"compilation, {found['recompilations']} recompilations, {found['data_share']:.0%} waiting for data"
        )

    def _listen(self, event: str, seconds: float, **_):
        if event.startswith(_COMPILATION):
            self._compile_seconds += seconds
            self._compiled += event == _BACKEND
