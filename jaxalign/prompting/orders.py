"""Two things compared in both orders in which they can be shown, since models prefer one place to the other."""

import enum
import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.prompting.options import NormaliseFn
from jaxalign.typing import ScoreOptionsFn


class Verdict(enum.Enum):
    """Which of two things both orders together say is the better one; :attr:`Orders.verdict` has the rule."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    INCONSISTENT = "inconsistent"  # each order names another one
    UNPARSED = "unparsed"  # no answer could be read in one order, or in both


class Orders(NamedTuple):
    """The probability that the first of two things is the better one, in each order in which they were shown.

    Attributes:
      shown_first: the probability, in [0, 1], when it is shown first; None or NaN if it could not be read.
      shown_second: the probability that the same thing is the better one when it is shown second.
    """

    shown_first: float | None
    shown_second: float | None

    @property
    def probability(self) -> float | None:
        """The mean of both orders; with the two exchanged, exactly 1 minus this. None if one order is missing.

        A mean within rounding would not do: 0.1 + 0.2 and 0.9 + 0.8 round differently.
        """
        if not (is_read(self.shown_first) and is_read(self.shown_second)):
            return None
        margin = ((_exact(self.shown_first) - 0.5) + (_exact(self.shown_second) - 0.5)) / 2
        return 0.5 + margin if margin >= 0 else 1 - (0.5 - margin)

    @property
    def verdict(self) -> Verdict:
        """What both orders say together.

        An order is for the one with more than one half, and tied at one half. If they are for different ones, the
        verdict is INCONSISTENT; if one of them is tied, it is TIE, whatever the other says. Neither is an error in
        an accuracy, which goes by ``probability``: votes of 1 and 0 make one half there, and count half.
        """
        if self.probability is None:
            return Verdict.UNPARSED
        sides = {_side(self.shown_first), _side(self.shown_second)}
        if Verdict.TIE in sides:
            return Verdict.TIE
        return sides.pop() if len(sides) == 1 else Verdict.INCONSISTENT

    def swapped(self) -> "Orders":
        """Returns the orders of the same two with their places exchanged."""
        return Orders(complement(self.shown_second), complement(self.shown_first))


def both_orders(
    score_options: ScoreOptionsFn,
    plain: Sequence[str],
    swapped: Sequence[str],
    options: Sequence[str],
    normalise_fn: NormaliseFn,
) -> list[Orders]:
    """Asks which of two things is the better one, in both orders, with one call for all questions.

    Args:
      score_options: scores options as answers to prompts.
      plain: N prompts that show the first thing under the name of the first option.
      swapped: the same N prompts with both things exchanged.
      options: two answers: the one that is shown first, the one that is shown second.
      normalise_fn: makes probabilities of the scores of a prompt's options, or None where they cannot be read.

    Returns:
      The probabilities that the first thing is the better one, for each of the N questions.
    """
    asked = [*plain, *swapped]
    chances = [normalise_fn(scores) for scores in score_options(asked, [options] * len(asked))] if asked else []
    return [Orders(a and a[0], b and b[1]) for a, b in zip(chances[: len(plain)], chances[len(plain) :], strict=True)]


def is_read(p: float | int | None) -> bool:
    """Returns whether there is a number: neither None nor NaN.

    Args:
      p: a probability or a rating that was read from a model's answer.
    """
    return p is not None and not math.isnan(p)


def complement(p: float | None) -> float | None:
    """1 minus a probability, so that the complement of the complement is the same number; None if there is none."""
    return 1 - _exact(p) if is_read(p) else None


def _exact(p: float) -> float:
    """``p``, rounded so that 1 - p is exact too."""
    return p if p >= 0.5 else 1 - (1 - p)


def _side(p: float) -> Verdict:
    return Verdict.TIE if p == 0.5 else Verdict.FIRST if p > 0.5 else Verdict.SECOND
