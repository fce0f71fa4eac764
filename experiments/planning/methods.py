"""The rows of the tables: what a student learns from, and how it is asked."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from experiments.planning.learning import MIXTURES
from jaxalign import planning
from jaxalign.planning import AskFn

DIRECT, PLANNED, TURNS = "direct", "plan first", "several turns"
WAYS: Mapping[str, AskFn] = MappingProxyType(
    {DIRECT: planning.write_articles, PLANNED: planning.write_planned_articles, TURNS: planning.write_in_turns}
)
TRUE, SHUFFLED, HEADINGS = "true plans", "shuffled plans", "headings alone"
"""What the plans of the records to learn from are: their own, those of others, or their own outline."""


class Lesson(NamedTuple):
    """What a student learns from: it is trained once, and may be asked in several ways."""

    mixture: str
    plans: str = TRUE

    @property
    def name(self) -> str:
        return self.mixture if self.plans == TRUE else f"{self.mixture}, {self.plans}"


class Method(NamedTuple):
    """A row of the tables."""

    lesson: Lesson
    way: str

    @property
    def name(self) -> str:
        return f"{self.lesson.name}: {self.way}"


_BOTH = [Method(Lesson(mixture), way) for mixture in MIXTURES if "T2" not in mixture for way in (DIRECT, PLANNED)]
_CONTROLS = [Method(Lesson("T4", plans), PLANNED) for plans in (SHUFFLED, HEADINGS)]
METHODS: Mapping[str, Method] = MappingProxyType(
    {method.name: method for method in (*_BOTH, Method(Lesson("T2 + T3"), TURNS), *_CONTROLS)}
)
BASELINE = f"T1: {DIRECT}"
"""Supervised fine-tuning as everybody does it, with which the others are compared."""
BEST = f"T1 + T4: {DIRECT}"
"""The paper's headline setting."""


def lessons(names: tuple[str, ...]) -> dict[Lesson, list[Method]]:
    """Returns the methods of these names by what their students learn from."""
    chosen = [METHODS[name] for name in names]
    return {
        lesson: list(group)
        for lesson, group in itertools.groupby(sorted(chosen, key=lambda m: m.lesson), key=lambda m: m.lesson)
    }
