"""What a run will ask of its model, told before anything is asked.

The run's own code asks a stand-in first, whose texts are as long as they may be and can be read by every parser, and
which finds all options equally likely. So the numbers are an upper bound, as far as tokens can be known: prompts that
rest on what the model will say are rendered with such texts, and tokens are counted by four bytes each, which for a
model in this process is scaled to its tokenizer. What a judge reads jointly by aspects is not in the stand-in's texts.
"""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel
from jaxalign.io.llm import Answer, Usage, cost_of, dollars, usage_of
from jaxalign.io.llm.metering import Metered
from jaxalign.io.llm.service import Ledger
from jaxalign.prompting import guess_tokens
from jaxalign.typing import OptionScore

_SAMPLE = 16  # prompts of which the tokenizer's tokens are counted
_SAID = 8  # tokens of a sampled answer to a question about options
_WORDS = "and so on "  # short ones, so that a tokenizer finds a token in four bytes or more of them
_BEGINNING = "".join(f"- aspect {n}\n" for n in range(1, 10)) + "Only A:\n- "
_OPTION = re.compile(r"^Options: .*; (.+)$|^([A-Z])\) ", re.MULTILINE)


def announce(
    flags: LanguageModel,
    engine: Engine,
    run: Callable[[Engine], object],
    *,
    times: int,
    simulated: bool,
    write: Callable[[str, int], str] | None = None,
) -> None:
    """Prints what ``times`` such runs ask for at most, and what is in the file already, if a real model is asked.

    Args:
      flags: which model the engine asks.
      engine: the model as the run will ask it; nothing is asked of it here.
      run: asks the engine that it is given everything that the experiment asks.
      times: repetitions of ``run``.
      simulated: the engine is a simulated model, of which nothing is printed.
      write: writes what the stand-in answers to a prompt within so many tokens, so that the experiment can read it;
        None for texts with aspects and options.
    """
    if simulated or flags.replay is not None:
        return
    prompts: list[str] = []
    ledger = Ledger()
    thinking = flags.server.thinking_tokens if flags.endpoint else 0
    writer, scorer = _writer(ledger, prompts, thinking, write or _longest), _scorer(engine, ledger, prompts, thinking)
    documents = Metered(writer, lambda prompt, seed: {})
    stand_in = dataclasses.replace(engine, generate=writer, score_options=scorer, documents=documents, ledger=ledger)
    with contextlib.redirect_stderr(io.StringIO()):  # what the run says, it will say again
        run(stand_in)
    sample = prompts[:: max(len(prompts) // _SAMPLE, 1)]
    scale = sum(map(engine.count_tokens, sample)) / max(sum(map(guess_tokens, sample)), 1)
    asked = ledger.asked._replace(prompt_tokens=round(scale * ledger.asked.prompt_tokens))
    most = Usage(*(times * count for count in asked))
    known, cost = usage_of(engine.known()), cost_of(engine.ledger.price, most)
    print(
        f"{engine.name} will be asked for at most about {most.requests:,} answers: {most.prompt_tokens:,} tokens of "
        f"prompts and {most.completion_tokens:,} of answers, or {most.tokens:,} in all"
        f"{'' if cost is None else f' for {dollars(cost)}'}. {known.requests:,} answers of {known.tokens:,} tokens are "
        f"there already{_described(engine.ledger)}",
        file=sys.stderr,
    )


def _described(ledger: Ledger) -> str:
    return f"; the budget of this run is {ledger.budget}." if ledger.budget.limits else "."


def _writer(ledger: Ledger, prompts: list[str], thinking: int, write: Callable[[str, int], str]):
    def generate(asked: Sequence[str], *, n: int = 1, max_tokens: int = 256, **_: Any) -> list[list[str]]:
        prompts.extend(asked)
        longest = max_tokens + thinking
        answers = [Answer(("",), ("",), guess_tokens(prompt), longest) for prompt in asked for _ in range(n)]
        ledger.add(usage_of(answers), Usage())
        return [[write(prompt, max_tokens)] * n for prompt in asked]

    return generate


def _scorer(engine: Engine, ledger: Ledger, prompts: list[str], thinking: int):
    def score_options(asked: Sequence[str], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        prompts.extend(asked)
        answers = [
            Answer(("",), ("",), guess_tokens(prompt), max(sum(map(guess_tokens, each)), _SAID + thinking))
            for prompt, each in zip(asked, options, strict=True)
            for _ in range(engine.requests_of_options(each))
        ]
        ledger.add(usage_of(answers), Usage())
        return [[OptionScore(-1.0, 1) for _ in each] for each in options]

    return score_options


def _longest(prompt: str, max_tokens: int) -> str:
    """Writes a text that names aspects, has the parts of a contrast, and ends with an answer: the last option, or A."""
    listed = _OPTION.findall(prompt.rpartition("\n\n")[2])
    answer = next(filter(None, listed[-1])) if listed else "A"
    ending = f"\nOnly B:\n- that\nBoth:\n- all\nAnswer: {answer}"
    room = max(4 * max_tokens - len(_BEGINNING) - len(ending), 0)
    return _BEGINNING + (_WORDS * (room // len(_WORDS) + 1))[:room] + ending
