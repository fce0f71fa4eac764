"""What answers take, what that costs, and when it is enough. No effects.

price = Price(prompt=0.15, completion=0.6)  # US dollars for a million tokens
cost_of(price, Usage(requests=1, prompt_tokens=1_000_000))  # 0.15
Budget(tokens=40).spent(Usage(3, 30, 15))  # "the budget of 40 tokens is spent"
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

from jaxalign.io.llm.replies import Answer

_PLACES = 12  # of US dollars: finer than what one token costs, so that sums of floats are exact


class Usage(NamedTuple):
    """How many distinct requests have an answer, and what these took as servers report it.

    Attributes:
      requests: the number of requests.
      prompt_tokens: tokens of their prompts.
      completion_tokens: tokens of their answers.
      unreported: requests without a complete report, whose tokens are counted as far as they are known.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unreported: int = 0

    @property
    def tokens(self) -> int:
        """The tokens of prompts and answers."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Returns the sum of two counts.

        Args:
          other: the other one.
        """
        return Usage(*(mine + more for mine, more in zip(self, other, strict=True)))

    def minus(self, other: "Usage") -> "Usage":
        """Returns what came on top of an earlier count.

        Args:
          other: the earlier count.
        """
        return Usage(*(mine - less for mine, less in zip(self, other, strict=True)))


class Price(NamedTuple):
    """What a model costs.

    Attributes:
      prompt: US dollars for a million tokens of prompts.
      completion: US dollars for a million tokens of answers.
    """

    prompt: float
    completion: float


def usage_of(answers: Iterable[Answer]) -> Usage:
    """Returns what answers took, equal ones as often as they are there.

    Args:
      answers: the answers.
    """
    answers = list(answers)
    return Usage(
        len(answers),
        sum(answer.prompt_tokens or 0 for answer in answers),
        sum(answer.completion_tokens or 0 for answer in answers),
        sum(map(is_unreported, answers)),
    )


def is_unreported(answer: Answer) -> bool:
    """Says whether a server left out how many tokens an answer took, or a part of that.

    Args:
      answer: the answer.
    """
    return answer.prompt_tokens is None or answer.completion_tokens is None


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """Returns what answers cost, in US dollars; None, which is not 0, if nobody knows.

    Args:
      price: of the model; None for an unknown one.
      usage: what the answers took. If one of them has no complete report of its tokens, the cost is unknown.

    >>> cost_of(Price(prompt=0.15, completion=0.6), Usage(requests=2, prompt_tokens=1000, completion_tokens=500))
    0.00045
    """
    return None if price is None or usage.unreported else _known(price, usage)


def dollars(cost: float) -> str:
    """Writes US dollars with their cents, and what is below a dollar with three digits that count.

    Args:
      cost: in US dollars.

    >>> dollars(1234.5), dollars(0.000123456), dollars(0.5)
    ('$1,234.50', '$0.000123', '$0.50')
    """
    if cost >= 1 or cost < 10**-_PLACES:
        return f"${cost:,.2f}"
    text = f"{cost:.{2 - math.floor(math.log10(cost))}f}".rstrip("0")
    return f"${text.ljust(len('0.00'), '0')}"


@dataclasses.dataclass(frozen=True)
class Budget:
    """What may be paid; what is None is not limited.

    Attributes:
      tokens: of prompts and answers.
      cost: in US dollars.
      price: of the model that is asked.

    Raises:
      ValueError: money is limited and the price is unknown.
    """

    tokens: int | None = None
    cost: float | None = None
    price: Price | None = None

    def __post_init__(self):
        if self.cost is not None and self.price is None:
            raise ValueError(
                f"a budget of {dollars(self.cost)} can be kept only where the model's price is known, and it is not; "
                "give the price, or a budget of tokens"
            )

    @property
    def limits(self) -> bool:
        """Says whether anything is limited."""
        return self.tokens is not None or self.cost is not None

    def __str__(self) -> str:
        tokens = [] if self.tokens is None else [f"{self.tokens:,} tokens"]
        return " and ".join([*tokens, *([] if self.cost is None else [dollars(self.cost)])])

    def spent(self, paid: Usage) -> str:
        """Says that a budget is spent; empty while there is something left of each.

        Args:
          paid: what was paid so far.
        """
        if self.tokens is not None and paid.tokens >= self.tokens:
            return f"the budget of {self.tokens:,} tokens is spent"
        if self.cost is not None and _known(self.price, paid) >= self.cost:
            return f"the budget of {dollars(self.cost)} is spent"
        return ""

    def minus(self, paid: Usage) -> "Budget":
        """Returns what is left.

        Args:
          paid: what was paid so far.
        """
        tokens = None if self.tokens is None else max(self.tokens - paid.tokens, 0)
        cost = None if self.cost is None else max(round(self.cost - _known(self.price, paid), _PLACES), 0.0)
        return Budget(tokens, cost, self.price)


def _known(price: Price, usage: Usage) -> float:
    """What is known of a cost."""
    return round((usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6, _PLACES)
