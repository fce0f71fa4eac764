"""What an experiment takes of a language model: a budget, a polite end, and the bill in its report."""

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence

from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel
from jaxalign.io.llm import Answer, Usage, usage_of
from jaxalign.io.llm.service import Ledger, StoppedError
from jaxalign.io.report import Table
from jaxalign.io.run.signals import termination


@contextlib.contextmanager
def limited(flags: LanguageModel, *, simulated: bool) -> Iterator[Ledger]:
    """Yields a ledger with the budget of a run; SIGINT and SIGTERM, like the budget, end it after what is under way.

    Args:
      flags: which model is asked, with the budget.
      simulated: a simulated model is asked instead, which costs nothing.

    Raises:
      ValueError: a budget or a replay of a simulated model.
      SystemExit: with code 0 after a signal, as training does, and with 1 where the budget ended the run; a line on
        stderr says what is left and how to go on.
    """
    if simulated and (flags.budget_tokens is not None or flags.replay is not None):
        raise ValueError("--budget-tokens and --replay are for real models, and --task made asks a simulated one")
    with termination(signal.SIGINT) as requested:
        ledger = Ledger(flags.budget_tokens, stop=lambda: requested(0))
        try:
            yield ledger
        except StoppedError as stopped:
            print(stopped, file=sys.stderr)
            raise SystemExit(0 if ledger.stop() else 1) from None


def told(engine: Engine) -> dict[str, str]:
    """Returns what the head of a report says of the model: how options were scored, and what the folder has cost."""
    paid = usage_of(engine.paid())
    return {
        "options scored": engine.scored_by(),
        "cost": f"{cost(paid)}; this start paid {_counted(engine.ledger.paid)}",
    }


def cost(paid: Usage) -> str:
    """Returns what all answers in a folder took, in words."""
    return f"{_counted(paid)}, prompts included, paid for this folder in all"


def bill(ledger: Ledger, paid: Sequence[Answer]) -> Table:
    """Returns what was asked for in all, what all of the folder has cost, and what of this was paid now.

    Args:
      paid: the answers in the folder's file, of this process and of those before it.
    """
    total = usage_of(paid)
    rows = [
        (name, usage.requests, usage.prompt_tokens, usage.completion_tokens)
        for name, usage in (
            ("asked for", ledger.asked),
            ("paid for this folder, in all", total),
            ("paid by this process", ledger.paid),
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
    title = "What the model was asked for"
    return Table(
        title, ("", "answers", "prompt tokens", "answer tokens"), rows, f"{caption} {ledger.shortcomings()}".strip()
    )


def sentence(ledger: Ledger, paid: Sequence[Answer]) -> str:
    """Says what :func:`bill` says, as a line to print."""
    said = (
        f"asked for {ledger.asked.tokens:,} tokens in {ledger.seconds:.1f} s; {usage_of(paid).tokens:,} tokens were "
        f"paid for this folder in all, {ledger.paid.tokens:,} of them now"
    )
    return f"{said}. {ledger.shortcomings()}".rstrip(". ") + "."


def _counted(usage: Usage) -> str:
    return f"{usage.requests:,} answers of {usage.tokens:,} tokens"
