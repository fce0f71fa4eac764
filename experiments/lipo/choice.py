"""The choice of beta and learning rate for each loss, by one figure of one seed that no table is of."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.lipo import pipeline
from experiments.lipo.pipeline import Setting

if TYPE_CHECKING:
    from experiments.lipo.__main__ import Config

CHOSEN_ON = 0  # the seed
BY = {"sequences": "win rate against SFT", "alpacaeval": "pairwise accuracy"}
"""The held-out figure that is chosen by, for each task."""


def grid(config: "Config") -> list[Setting]:
    """Returns the settings among which a run chooses; one alone where there is nothing to choose."""
    betas, rates = config.betas or (config.beta,), config.rates or (config.learning_rate,)
    return [Setting(*pair) for pair in itertools.product(betas, rates)]


def check(config: "Config") -> None:
    """Checks that no table is of the seed that its settings are chosen on.

    Raises:
      ValueError: it would be.
    """
    if len(grid(config)) > 1 and config.first_seed == CHOSEN_ON:
        raise ValueError(
            f"--betas and --rates choose on seed {CHOSEN_ON}, and the table begins with it; give --first-seed 1"
        )


def try_all(config: "Config") -> dict[str, dict[Setting, float]]:
    """Aligns by each loss with each setting on seed 0, and returns the figure of each that is chosen by.

    All see the same lists, of ``config.list_size`` responses without noise.
    """
    directory = config.output / f"seed-{CHOSEN_ON}"
    start = pipeline.begin(config, CHOSEN_ON, directory)
    labelled = pipeline.labelled_lists(config, start, pipeline.Variant(config.list_size, 0.0))
    start.task.evaluate(start.sft, start.sft, start.test_key)  # first, as tasks need it
    tried = {loss: {} for loss in config.losses}
    for loss, setting in itertools.product(config.losses, grid(config)):
        place = directory / f"{loss}-beta-{setting.beta:g}-rate-{setting.learning_rate:g}"
        policy = pipeline.align(config, start, labelled, loss, setting, place)
        figures = start.task.evaluate(policy, start.sft, start.test_key)
        tried[loss][setting] = figures[BY[config.task]].value
    return tried


def best(tried: Mapping[str, Mapping[Setting, float]]) -> dict[str, Setting]:
    """Returns the setting of the highest figure for each loss, of equal ones the first."""
    return {loss: max(figures, key=figures.get) for loss, figures in tried.items()}


def told(config: "Config", tried: Mapping[str, Mapping[Setting, float]]) -> list[str]:
    """Says of each loss what was chosen, where it lies in the grid, and what every setting gave."""
    lines, settings = [], grid(config)
    for loss, setting in best(tried).items():
        at_end = [
            name
            for name in Setting._fields
            if getattr(setting, name) in _ends({getattr(each, name) for each in settings})
        ]
        edge = f" ({' and '.join(at_end).replace('_', ' ')} at an end of the grid)" if at_end else ""
        every = "; ".join(f"{beta:g}, {rate:g}: {figure:.4f}" for (beta, rate), figure in tried[loss].items())
        lines.append(f"{loss}: beta {setting.beta:g}, rate {setting.learning_rate:g}{edge}; of beta, rate: {every}")
    return lines


def _ends(values: set[float]) -> tuple[float, ...]:
    """Returns the least and the largest of several values; one alone has no ends."""
    return (min(values), max(values)) if len(values) > 1 else ()
