"""What a judge says of a pair of texts, and judgements as arrays."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxalign.data import PreferencePair
from jaxalign.judge.contrasts import Table, swap_table
from jaxalign.prompting.orders import Orders, Verdict, complement, is_read


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a judge says of one pair, and what it rests on.

    Attributes:
      probability: the probability that the first text is the better one, in [0, 1]; None if it could not be read.
      orders: this probability in each order of presentation, before any calibration.
      table: what the texts have for themselves and in common, for judges that compare by aspects.
      texts: what the model wrote of the pair, as it is: in the first order, then in the second.
      asked: how many texts the model was asked for.
      unparsed: how many of them could not be read.
    """

    probability: float | None
    orders: Orders
    table: Table = ()
    texts: tuple[str, ...] = ()
    asked: int = 0
    unparsed: int = 0

    @property
    def verdict(self) -> Verdict:
        """What both orders say together, by the rule of :attr:`jaxalign.prompting.Orders.verdict`."""
        return self.orders.verdict

    def swapped(self) -> "Judgement":
        """Returns the judgement of the pair with its texts exchanged."""
        return dataclasses.replace(
            self,
            probability=complement(self.probability),
            orders=self.orders.swapped(),
            table=swap_table(self.table),
        )


JudgeFn = Callable[[Sequence[PreferencePair]], list[Judgement]]
"""``judge_fn(pairs)``: a judgement of each pair; the target of a pair is not read."""


def antisymmetric(judge_fn: JudgeFn) -> JudgeFn:
    """Makes a judge that sees each pair in one orientation only, with its texts in sorted order.

    All that a model writes about a pair, and all that is drawn at random, is then the same whichever text comes first,
    and exchanging the texts gives exactly 1 minus the probability. ``judge_fn`` shows both orders all the same. Equal
    texts are a tie, and not shown.

    Args:
      judge_fn: the judge to ask.
    """

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        sorted_pairs = [pair if pair.first < pair.second else pair.swapped() for pair in pairs]
        judgements = iter(judge_fn([pair for pair in sorted_pairs if pair.first != pair.second]))
        return [_orient(pair, judgements) for pair in pairs]

    return judge


class OrderArrays(NamedTuple):
    """N judgements as arrays for :mod:`jaxalign.metrics`, with 0.5 where nothing could be read.

    Attributes:
      probability: the probability that the first text wins, both orders together.
      shown_first: this probability when the first text is shown first.
      shown_second: this probability when the first text is shown second.
      where: False for judgements that could not be read, which are counted apart and are no loss.
    """

    probability: Float[np.ndarray, "N"]
    shown_first: Float[np.ndarray, "N"]
    shown_second: Float[np.ndarray, "N"]
    where: Bool[np.ndarray, "N"]


def order_arrays(judgements: Sequence[Judgement]) -> OrderArrays:
    """Makes arrays of judgements: the probabilities that the first text wins, ``[N]`` float32.

    The accuracy over both orders is ``preference_accuracy_metric`` of ``shown_first`` and ``shown_second`` together,
    the agreement of orders ``swap_consistency_metric(shown_first, 1 - shown_second)``.

    Args:
      judgements: N judgements.

    Returns:
      The probabilities of both orders together and of each, and where they could be read.
    """
    rows = [(each.probability, *each.orders) for each in judgements]
    where = np.array([all(map(is_read, row)) for row in rows], bool)
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return OrderArrays(*(np.array([p if is_read(p) else 0.5 for p in column], np.float32) for column in columns), where)


def _orient(pair: PreferencePair, judgements: Iterator[Judgement]) -> Judgement:
    if pair.first == pair.second:
        return Judgement(0.5, Orders(0.5, 0.5))
    judgement = next(judgements)
    return judgement if pair.first < pair.second else judgement.swapped()
