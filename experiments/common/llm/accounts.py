"""What an experiment takes of a language model: a budget, a polite end, and the bill in its report."""

import contextlib
import signal
import sys
from collections.abc import Iterator

from experiments.common.llm.engine import Engine
from jaxalign.io.llm.ledger import Ledger, StoppedError
from jaxalign.io.report import Table
from jaxalign.io.signals import termination


@contextlib.contextmanager
def limited(config) -> Iterator[Ledger]:
    """A ledger with the budget of one run; SIGINT and SIGTERM, like the budget, end it after what is under way.

    Raises:
      ValueError: a budget or a replay of a simulated model.
      SystemExit: with code 0 after a signal, as training does, and with 1 where the budget ended the run; a line on
        stderr says what is left and how to go on.
    """
    if config.task == "made" and (config.budget_tokens is not None or config.replay is not None):
        raise ValueError("--budget-tokens and --replay are for real models, and --task made asks a simulated one")
    with termination(signal.SIGINT) as requested:
        ledger = Ledger(config.budget_tokens, stop=lambda: requested(0))
        try:
            yield ledger
        except StoppedError as stopped:
            print(stopped, file=sys.stderr)
            raise SystemExit(0 if ledger.stop() else 1) from None


def told(engine: Engine) -> dict[str, str]:
    """What the head of a report says of the model: how options were scored, and what it all took."""
    asked, paid = engine.ledger.asked, engine.ledger.paid
    return {
        "options scored": engine.scored_by(),
        "cost": f"{asked.requests:,} answers of {asked.tokens:,} tokens, prompts included, of which this run paid "
        f"{paid.requests:,} answers of {paid.tokens:,} tokens",
    }


def bill(ledger: Ledger) -> Table:
    """What was asked for in all, and what of it this run paid."""
    asked, paid = ledger.asked, ledger.paid
    rows = [
        ("asked for", asked.requests, asked.prompt_tokens, asked.completion_tokens),
        ("paid by this run", paid.requests, paid.prompt_tokens, paid.completion_tokens),
    ]
    caption = (
        "A prompt counts for each text that follows it. What was not paid was in the file of answers, or was asked for "
        f"more than once. The model was asked for {ledger.seconds:.1f} s, with {ledger.retries} retries."
    )
    if asked.unreported:
        caption += f" {asked.unreported} answers came without a report of tokens; a token for four bytes is assumed."
    return Table("What the model was asked for", ("", "answers", "prompt tokens", "answer tokens"), rows, caption)
