"""What a run asked a language model for and paid, and when it has to end."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from jaxalign.io.llm.accounting import Budget, Price, Usage, cost_of, dollars
from jaxalign.io.llm.replies import Answer

_CUT = ("length", "max_tokens", "model_length")  # what servers call the end at a limit of tokens


class StoppedError(Exception):
    """Not everything was asked, since the budget was spent or a signal came; what was answered is kept."""


@dataclasses.dataclass
class Ledger:
    """Counts of tokens, as servers and tokenizers report them, and the reasons to stop.

    Attributes:
      budget_tokens: ask for nothing more once so many tokens, of prompts and answers, were paid.
      budget_cost: ask for nothing more once so many US dollars were paid.
      price: of the model that is asked; None if it is unknown, and so is what its answers cost.
      stop: says whether the run is to end, see :func:`jaxalign.io.run.signals.termination`.
      asked: everything that was answered, from the file or not, as often as it was asked for: what a method costs by
        itself.
      paid: what was not in the file.
      seconds: how long a model was asked.
      retries: attempts after the first.
      texts, cut, empty: texts that were written, as often as they were asked for; those that end at their limit of
        tokens (finish reason "length"), and those without a character.
      failed: requests without an answer that did not end the run, as often as they were asked for.
      ways: how many prompts had their options scored in which way.

    Raises:
      ValueError: a budget in money for a model without a price.
    """

    budget_tokens: int | None = None
    budget_cost: float | None = None
    price: Price | None = None
    stop: Callable[[], bool] = lambda: False
    asked: Usage = Usage()
    paid: Usage = Usage()
    seconds: float = 0.0
    retries: int = 0
    texts: int = 0
    cut: int = 0
    empty: int = 0
    failed: int = 0
    ways: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def __post_init__(self):
        _ = self.budget

    @property
    def budget(self) -> Budget:
        """What a run may pay."""
        return Budget(self.budget_tokens, self.budget_cost, self.price)

    @property
    def ended(self) -> bool:
        """Says whether nothing more may be asked."""
        return bool(self.budget.spent(self.paid)) or self.stop()

    def add(self, asked: Usage, paid: Usage, *, seconds: float = 0.0, retries: int = 0) -> None:
        """Counts one call.

        Args:
          asked: all that it was answered.
          paid: what of this was paid.
          seconds: how long it took.
          retries: attempts after the first.
        """
        self.asked = self.asked.plus(asked)
        self.paid = self.paid.plus(paid)
        self.seconds += seconds
        self.retries += retries

    def add_texts(self, answers: Iterable[Answer]) -> None:
        """Counts answers that are read as texts.

        Args:
          answers: the answers.
        """
        for answer in answers:
            self.texts += len(answer.texts)
            self.cut += sum(finish.casefold() in _CUT for finish in answer.finish)
            pairs = zip(answer.texts, answer.finish, strict=True)
            self.empty += sum(not text.strip() and finish != "too long" for text, finish in pairs)

    def shortcomings(self) -> str:
        """Sentences on texts that were cut or are empty, and on requests that failed; nothing if there are none."""
        said = []
        if self.cut or self.empty:
            said.append(
                f"Of {self.texts:,} texts, {self.cut:,} were cut at their limit of tokens and {self.empty:,} are empty "
                "(refused, or all tokens went to thinking); more tokens may help."
            )
        if self.failed:
            said.append(f"{self.failed:,} requests failed, and there is no text of them.")
        return " ".join(said)

    def stopped(self, path: pathlib.Path, unsent: int, total: int) -> StoppedError:
        """Returns what to raise when a call cannot ask for everything.

        Args:
          path: the file of answers.
          unsent: requests that were left out.
          total: requests of the call.
        """
        reason, remedy = "the run was stopped", "the same command goes on from there"
        if not self.stop():
            reason = self.budget.spent(self.paid)
            remedy += ", with a budget of its own"
        cost = cost_of(self.price, self.paid)
        taken = f"{self.paid.tokens:,} tokens" + ("" if cost is None else f" for {dollars(cost)}")
        return StoppedError(
            f"{reason}, after {self.paid.requests} new answers of {taken}: {unsent} of the {total} requests of this "
            f"step are left, and all later steps. What was answered is in {path}; {remedy}"
        )
