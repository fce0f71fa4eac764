"""What an experiment shows of what could not be read: scores of options, and prompts that were too long to be asked."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.io.report import Table
from jaxalign.prompting import option_probabilities
from jaxalign.typing import OptionScore, ScoreOptionsFn

SHOWN = 20  # rows that a report names


class Scored(NamedTuple):
    """Questions about options that a model was asked, and how many of them have no scores that could be read."""

    asked: int = 0
    unread: int = 0

    @property
    def share(self) -> float:
        """The share of them that could not be read."""
        return self.unread / max(self.asked, 1)

    def plus(self, other: "Scored") -> "Scored":
        """Adds both."""
        return Scored(self.asked + other.asked, self.unread + other.unread)

    def minus(self, other: "Scored") -> "Scored":
        """Returns what came on top of an earlier count."""
        return Scored(self.asked - other.asked, self.unread - other.unread)


@dataclasses.dataclass
class Count:
    """The scores so far."""

    scored: Scored = Scored()


def counted(score_options: ScoreOptionsFn, count: Count) -> ScoreOptionsFn:
    """Returns the scorer that counts."""

    def scoring(prompts: Sequence, options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        scores = score_options(prompts, options)
        unread = sum(option_probabilities(each) is None for each in scores)
        count.scored = count.scored.plus(Scored(len(scores), unread))
        return scores

    return scoring


def table_of_left_out(title: str, left_out: Mapping[str, str], remedy: str) -> list[Table]:
    """Returns a section on what was left out and why, by name; none if nothing was."""
    if not left_out:
        return []
    rows = list(left_out.items())[:SHOWN]
    caption = f"{len(left_out)} in all. {remedy}" + (f" The first {SHOWN} are shown." if len(left_out) > SHOWN else "")
    return [Table(title, ("", "reason"), rows, caption)]
