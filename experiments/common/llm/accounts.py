"""What an experiment takes of a language model: a budget, a polite end, and the bill in its report."""

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence

from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel, prices_of
from jaxalign.io import llm
from jaxalign.io.llm import Answer, Price, Usage, cost_of, dollars, usage_of
from jaxalign.io.llm.service import Ledger, StoppedError
from jaxalign.io.report import Table
from jaxalign.io.run.signals import termination

_OF_REAL_MODELS = ("budget_tokens", "budget_cost", "prices", "replay")


@contextlib.contextmanager
def limited(flags: LanguageModel, *, simulated: bool) -> Iterator[Ledger]:
    """Yields a ledger with the budget of a run; SIGINT and SIGTERM, like the budget, end it after what is under way.

    Args:
      flags: which model is asked, with the budget.
      simulated: a simulated model is asked instead, which costs nothing.

    Raises:
      ValueError: a budget, prices or a replay of a simulated model; a budget in money of a model without a price.
      SystemExit: with code 0 after a signal, as training does, and with 1 where the budget ended the run; a line on
        stderr says what is left and how to go on.
    """
    if simulated and any(getattr(flags, name) is not None for name in _OF_REAL_MODELS):
        names = [f"--{name.replace('_', '-')}" for name in _OF_REAL_MODELS]
        raise ValueError(
            f"{', '.join(names[:-1])} and {names[-1]} are for real models, and a simulated one is asked; leave them out"
        )
    price = None if simulated else _price(flags)
    with termination(signal.SIGINT) as requested:
        ledger = Ledger(flags.budget_tokens, flags.budget_cost, price, stop=lambda: requested(0))
        try:
            yield ledger
        except StoppedError as stopped:
            print(stopped, file=sys.stderr)
            raise SystemExit(0 if ledger.stop() else 1) from None


def _price(flags: LanguageModel) -> Price | None:
    price = llm.prices.price_of(prices_of(flags), flags.model)
    if price is None and flags.budget_cost is not None:
        file = "a file of --prices" if flags.prices is None else flags.prices
        raise ValueError(
            f"--budget-cost: the price of {flags.model!r} is not known; write it into {file}, in US dollars for a "
            f'million tokens: ["{flags.model}"], prompt = 0.15, completion = 0.6. Or limit --budget-tokens'
        )
    if price is None and flags.prices is not None:
        print(f"{flags.prices} has no price of {flags.model!r}, so that costs stay unknown", file=sys.stderr)
    return price


def told(engine: Engine) -> dict[str, str]:
    """Returns what the head of a report says of the model: how options were scored, and what the folder has cost."""
    paid, ledger = usage_of(engine.paid()), engine.ledger
    new = f"{_counted(ledger.paid)}{_for(cost_of(ledger.price, ledger.paid))}"
    return {
        "options scored": engine.scored_by(),
        "cost": f"{cost(paid)}{_for(engine.cost())}; this start paid {new}",
    }


def cost(paid: Usage) -> str:
    """Returns what all answers in a folder took, in words."""
    return f"{_counted(paid)}, prompts included, paid for this folder in all"


def bill(ledger: Ledger, paid: Sequence[Answer], cost: float | None = None) -> Table:
    """Returns what was asked for in all, what all of the folder has cost, and what of this was paid now.

    Args:
      paid: the answers in the folder's file, of this process and of those before it.
      cost: what they have cost in US dollars, see :attr:`Engine.cost`; None if nobody knows.
    """
    total, priced = usage_of(paid), ledger.price is not None or cost is not None
    rows = [
        (name, usage.requests, usage.prompt_tokens, usage.completion_tokens, *([_cell(money)] if priced else []))
        for name, usage, money in (
            ("asked for", ledger.asked, cost_of(ledger.price, ledger.asked)),
            ("paid for this folder, in all", total, cost),
            ("paid by this process", ledger.paid, cost_of(ledger.price, ledger.paid)),
        )
    ]
    caption = (
        "A prompt counts for each text that follows it. What was paid in all is what the file of answers holds, also "
        "from before a break or for other settings; what is asked for more than once is paid once. This process asked "
        f"for {ledger.seconds:.1f} s, with {ledger.retries} retries; all answers in the file took "
        f"{sum(answer.seconds for answer in paid):.1f} s, added up, with {sum(answer.retries for answer in paid)} "
        "retries. Replies that were lost on the way may have been paid and are in no count."
    )
    if unreported := max(ledger.asked.unreported, total.unreported):
        caption += (
            f" {unreported} answers came without a report of tokens: where they are asked for, a token for four bytes "
            "is assumed, and where they are paid, nothing."
        )
    columns = ("", "answers", "prompt tokens", "answer tokens", *(["US dollars"] if priced else []))
    if any("" in row for row in rows):
        caption += " A cost is left out where a price or the report of an answer's tokens is missing."
    return Table("What the model was asked for", columns, rows, f"{caption} {ledger.shortcomings()}".strip())


def sentence(ledger: Ledger, paid: Sequence[Answer], cost: float | None = None) -> str:
    """Says what :func:`bill` says, as a line to print."""
    said = (
        f"asked for {ledger.asked.tokens:,} tokens in {ledger.seconds:.1f} s; {usage_of(paid).tokens:,} tokens were "
        f"paid for this folder in all{_for(cost)}, {ledger.paid.tokens:,} of them now"
        f"{_for(cost_of(ledger.price, ledger.paid))}"
    )
    return f"{said}. {ledger.shortcomings()}".rstrip(". ") + "."


def _for(cost: float | None) -> str:
    return "" if cost is None else f" for {dollars(cost)}"


def _cell(cost: float | None) -> str:
    """An empty text is a missing number."""
    return "" if cost is None else dollars(cost)


def _counted(usage: Usage) -> str:
    return f"{usage.requests:,} answers of {usage.tokens:,} tokens"
