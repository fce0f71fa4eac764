"""What the first steps of a run say of its settings: a rate too high or too low shows there, not hours later."""

import math
import sys
from collections.abc import Mapping, Sequence

from jaxalign.io.cluster import launch

STEPS = 20
"""How many are looked at, or as many as a shorter run has."""
RISE = 1.15
"""A loss of so many times the first, twice running, is said aloud."""
FAR = 50.0
"""Nats a response between policy and reference that no run needs so early."""
STILL = 0.01
"""The margin of rewards, at the end of the run if it goes on so, below which nothing will have been learnt."""

Row = Mapping[str, float | int]


def judge_first_steps(rows: Sequence[Row], num_steps: int) -> list[str]:
    """Returns what is wrong with a run by the metrics of its first steps, one sentence each.

    A loss that rises, a policy that flies off or does not move, and gradients of 0 are found. ``log_ratio`` (nats
    a response, policy over reference) and ``margin`` (reward of the better responses above the others) are looked at
    where the loss has them; both begin at 0, since the policy does at its reference.

    Args:
      rows: the metrics of each step with its number ``step``, from 1 on, as :func:`jaxalign.io.run.read_metrics` has
        them; those of later steps than the first 20 are not looked at.
      num_steps: the steps of the whole run.
    """
    rows = [row for row in rows if row["step"] <= STEPS]
    found = filter(None, (_risen(rows), _no_gradient(rows), _far(rows), _still(rows, num_steps)))
    return list(found)


class FirstSteps:
    """Says what the first steps of a run say of its settings, as soon as they do: the ``watch`` of a training loop.

    Args:
      name: what lines on stderr call the run.
      num_steps: its steps.
    """

    def __init__(self, name: str, num_steps: int):
        self._name, self._num_steps = name, num_steps
        self._rows: list[Row] = []
        self._said: set[str] = set()

    def __call__(self, step: int, values: Row) -> None:
        """Takes the metrics of a step.

        Args:
          step: its number, from 1.
          values: its metrics by name.
        """
        if step > STEPS or step != len(self._rows) + 1:  # a run that goes on later has been judged
            return
        self._rows.append({"step": step, **values})
        for sentence in judge_first_steps(self._rows, self._num_steps):
            kind = sentence.partition(" ")[0]
            if kind not in self._said and launch.is_main():
                print(f"{self._name}: WARNING: {sentence}", file=sys.stderr, flush=True)
            self._said.add(kind)


def _risen(rows: Sequence[Row]) -> str | None:
    losses = [row["loss"] for row in rows]
    for step in range(2, len(losses)):
        high = losses[0] + (RISE - 1) * abs(losses[0])
        if min(losses[step - 1 : step + 1]) > high:
            return (
                f"loss rises: {losses[0]:.4g} in step 1, {losses[step - 1]:.4g} and {losses[step]:.4g} in steps {step} "
                f"and {step + 1}. The learning rate is too high for this start: divide it by 3 to 10"
            )
    return None


def _no_gradient(rows: Sequence[Row]) -> str | None:
    if len(rows) >= 2 and all(row.get("grad_norm") == 0 for row in rows):
        return (
            f"gradients are exactly 0 in all of the first {len(rows)} steps: nothing is learnt. Labels that are equal "
            "within every list, or responses without a token to learn, do that"
        )
    return None


def _far(rows: Sequence[Row]) -> str | None:
    for row in rows:
        ratio = row.get("log_ratio", 0.0)
        if math.isfinite(ratio) and abs(ratio) > FAR:
            return (
                f"policy is {ratio:.3g} nats a response away from its reference after {row['step']} steps, as a run "
                "that falls apart is: lower the learning rate, or raise beta"
            )
    return None


def _still(rows: Sequence[Row], num_steps: int) -> str | None:
    """Judges once, when all of the first steps are there; the rate of most runs is still rising then."""
    count = min(STEPS, num_steps)
    if len(rows) < count or count < 5 or "margin" not in rows[-1] or rows[-1].get("grad_norm") == 0:
        return None
    half = rows[count // 2 : count]
    margin = abs(sum(row["margin"] for row in half) / len(half))
    expected = margin * num_steps / (0.75 * count)
    if expected >= STILL or not math.isfinite(margin):
        return None
    return (
        f"rewards hardly move: the margin between better and worse responses is {margin:.2g} after {count} steps, and "
        f"would be about {expected:.2g} after {num_steps}. Raise the learning rate, or beta"
    )
