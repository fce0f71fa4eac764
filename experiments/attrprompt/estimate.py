"""What a run will ask of its model, told before anything is asked, by stage and method.

The run's own code asks a stand-in, whose texts are as long as they are expected to be: a document has the middle of the
lengths that it may have, a list as many items as are asked for. What is in the run's folder already is not asked again.
Tokens are counted by four bytes each, which is scaled to the model's tokenizer by a sample of the prompts.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.attrprompt.methods import Sizes, write_all
from experiments.attrprompt.preparing import Asked
from experiments.attrprompt.storage import INSTRUCTIONS, MemoryStore, Writer
from experiments.common.llm.engine import Engine
from jaxalign.attributes import Task
from jaxalign.io.llm import Answer, Usage, usage_of
from jaxalign.io.llm.service import Ledger
from jaxalign.prompting import guess_tokens
from jaxalign.typing import GenerateFn

_PROSE = "there was something about these reports that nobody had expected before the second meeting took place, "
_LENGTH = re.compile(r"(\d+) to (\d+) words")
_BULLET = re.compile(r"^- (.+)$", re.MULTILINE)
_SAMPLE = 16  # prompts of which the tokenizer's tokens are counted
_INSTRUCTION_WORDS = 80


def estimate(
    engine: Engine, task: Task, methods: Sequence[str], asked: Asked, sizes: Sizes, store: MemoryStore
) -> dict[str, Usage]:
    """Returns what each stage and method will be answered.

    Args:
      engine: the model; only tokens of some prompts are counted with it.
      store: where the documents of the stand-in go, with the sampling of the run. Its writer is replaced.
    """
    stand_in = StandIn(task, asked)
    write_all(store._replace(writer=stand_in.writer()), task, methods, asked, sizes)
    scale = stand_in.scale(engine)
    return {
        stage: usage._replace(
            prompt_tokens=round(scale * usage.prompt_tokens), completion_tokens=round(scale * usage.completion_tokens)
        )
        for stage, usage in stand_in.spent.items()
    }


class StandIn:
    """A model that is as talkative as expected, and counts by stage what it is asked for."""

    def __init__(self, task: Task, asked: Asked):
        self._asked, self._prompts = asked, []
        middles = [length + task.room / 2 for length in task.lengths]
        self._words = round(sum(middles) / len(middles)) if middles else 80
        self.spent: dict[str, Usage] = {}
        self.ledger = Ledger()

    def writer(self) -> Writer:
        """Returns it as the stages ask it."""
        return Writer(self.ask, self.ledger, guess_tokens)

    def ask(self, stage: str) -> GenerateFn:
        """Returns the generator of a stage."""
        answer = {
            "dimensions": lambda prompt: _listed(["an attribute"] * 10),
            "similar": lambda prompt: _listed(_BULLET.findall(prompt)[: self._asked.similar]),
            "values": lambda prompt: _listed([f"a certain value {n}" for n in range(self._asked.values)]),
            "filtered": lambda prompt: "No.",
            INSTRUCTIONS: lambda prompt: _prose(_INSTRUCTION_WORDS),
        }.get(stage, self._document)

        def generate(prompts: Sequence[str], *, n: int = 1, max_tokens: int = 256, **_: Any) -> list[list[str]]:
            self._prompts += prompts
            texts = [answer(prompt) for prompt in prompts]
            took = usage_of(
                Answer(("",), ("",), guess_tokens(prompt), min(guess_tokens(text), max_tokens))
                for prompt, text in zip(prompts, texts, strict=True)
                for _ in range(n)
            )
            self.ledger.add(took, Usage())
            self.spent[stage] = self.spent.get(stage, Usage()).plus(took)
            return [[text] * n for text in texts]

        return generate

    def scale(self, engine: Engine) -> float:
        """Returns the engine's tokens for one of four bytes, by a sample of the prompts."""
        sample = self._prompts[:: max(len(self._prompts) // _SAMPLE, 1)]
        return sum(map(engine.count_tokens, sample)) / max(sum(map(guess_tokens, sample)), 1)

    def _document(self, prompt: str) -> str:
        asked = _LENGTH.search(prompt)
        return _prose((int(asked[1]) + int(asked[2])) // 2 if asked else self._words)


def announce(engine: Engine, expected: Mapping[str, Usage], prices: str = "") -> None:
    """Prints an estimate.

    Args:
      expected: by stage and method.
      prices: what it will cost, in words.
    """
    total = sum_of(expected)
    parts = "; ".join(f"{stage} {usage.requests:,} of {usage.tokens:,}" for stage, usage in expected.items())
    known = usage_of(engine.known())
    print(
        f"{engine.name} will be asked for about {total.requests:,} answers: {total.prompt_tokens:,} tokens of prompts "
        f"and {total.completion_tokens:,} of answers, or {total.tokens:,} in all{prices} ({parts}). "
        f"{known.requests:,} answers of {known.tokens:,} tokens are there already",
        file=sys.stderr,
    )


def sum_of(expected: Mapping[str, Usage]) -> Usage:
    """Returns the sum of an estimate."""
    total = Usage()
    for usage in expected.values():
        total = total.plus(usage)
    return total


def _prose(words: int) -> str:
    many = _PROSE.split() * (words // len(_PROSE.split()) + 1)
    return " ".join(many[:words])


def _listed(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
