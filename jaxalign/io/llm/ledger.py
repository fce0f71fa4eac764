"""What a run of many calls to a language model takes, and how much more it may take.

ledger = llm.ledger.Ledger(budget_tokens=1_000_000)
service = llm.service.asking(client, cache, ledger=ledger)
...
print(ledger.paid.tokens, "tokens paid,", ledger.seconds, "seconds")
"""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.runs import Usage

_CUT = ("length", "max_tokens", "model_length")  # what servers call the end at a limit of tokens


class StoppedError(Exception):
    """Not everything was asked, since the budget was spent or a signal came; what was answered is kept."""


@dataclasses.dataclass
class Ledger:
    """Counts of tokens, as servers and tokenizers report them, and two reasons to stop.

    Attributes:
      budget_tokens: ask for nothing more once so many tokens, of prompts and answers, were paid.
      stop: whether the run is to end, see :func:`jaxalign.io.signals.termination`.
      asked: everything that was answered, from the file or not, as often as it was asked for: what a method costs by
        itself.
      paid: what was not in the file.
      seconds: in which a model was asked.
      retries: attempts after the first.
      texts, cut, empty: texts that were written, as often as they were asked for; those that end at their limit of
        tokens (finish reason "length"), and those without a character.
      ways: how many prompts had their options scored in which way.
    """

    budget_tokens: int | None = None
    stop: Callable[[], bool] = lambda: False
    asked: Usage = Usage()
    paid: Usage = Usage()
    seconds: float = 0.0
    retries: int = 0
    texts: int = 0
    cut: int = 0
    empty: int = 0
    ways: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def left(self) -> int | None:
        """Tokens that may still be paid; None without a budget."""
        return None if self.budget_tokens is None else max(self.budget_tokens - self.paid.tokens, 0)

    @property
    def ended(self) -> bool:
        """Whether nothing more may be asked."""
        return self.left == 0 or self.stop()

    def add(self, asked: Usage, paid: Usage, *, seconds: float = 0.0, retries: int = 0) -> None:
        """One call: what it was answered, and what of this was paid."""
        self.asked = self.asked.plus(asked)
        self.paid = self.paid.plus(paid)
        self.seconds += seconds
        self.retries += retries

    def add_texts(self, answers: Iterable[Answer]) -> None:
        """Answers that are read as texts."""
        for answer in answers:
            self.texts += len(answer.texts)
            self.cut += sum(finish.casefold() in _CUT for finish in answer.finish)
            pairs = zip(answer.texts, answer.finish, strict=True)
            self.empty += sum(not text.strip() and finish != "too long" for text, finish in pairs)

    def shortcomings(self) -> str:
        """A sentence on texts that were cut or are empty; nothing if there are none."""
        if not (self.cut or self.empty):
            return ""
        return (
            f"Of {self.texts:,} texts, {self.cut:,} were cut at their limit of tokens and {self.empty:,} are empty "
            "(refused, or all tokens went to thinking); more tokens may help."
        )

    def stopped(self, path: pathlib.Path, unsent: int, total: int) -> StoppedError:
        """What to raise when a call is left with ``unsent`` of ``total`` requests."""
        reason, remedy = "the run was stopped", "the same command goes on from there"
        if not self.stop():
            reason = f"the budget of {self.budget_tokens:,} tokens is spent"
            remedy += ", with a budget of its own"
        return StoppedError(
            f"{reason}, after {self.paid.requests} new answers of {self.paid.tokens:,} tokens: {unsent} of the "
            f"{total} requests of this step are left, and all later steps. What was answered is in {path}; {remedy}"
        )
