"""What a run will ask of its model, told before anything is asked, by stage and method.

The run's own code asks a stand-in, whose texts are as long as they are expected to be: a document has the middle of the
lengths that it may have, a list as many items as are asked for. What is in the run's folder already is not asked again,
and what comes after a pause, for instance behind proposed attributes, is not known yet.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.attrprompt.dry import DryStore
from experiments.attrprompt.methods import Sizes, write_all
from experiments.attrprompt.preparing import Asked, PauseError
from experiments.attrprompt.storage import INSTRUCTIONS, FileStore, Stage
from experiments.common.llm.engine import Engine
from jaxalign.attributes import Task
from jaxalign.io.llm import Answer, Usage, cost_of, dollars, usage_of
from jaxalign.io.llm.service import Ledger
from jaxalign.prompting import guess_tokens
from jaxalign.typing import GenerateFn

_PROSE = "there was something about these reports that nobody had expected before the second meeting took place, "
_LENGTH = re.compile(r"(\d+) to (\d+) words")
_BULLET = re.compile(r"^- (.+)$", re.MULTILINE)
_INSTRUCTION_WORDS = 60
_SAMPLE = 8  # prompts and texts of each stage and method of which the tokenizer's tokens are counted


class Expected(NamedTuple):
    """What a run will be answered, by stage and method, up to its end or to a pause."""

    usage: Mapping[str, Usage]
    paused: bool


def estimate(
    store: FileStore,
    task: Task,
    methods: Sequence[str],
    asked: Asked,
    sizes: Sizes,
    *,
    until: str = "",
    made: dict[str, Stage] | None = None,
) -> Expected:
    """Returns what each stage and method will be answered.

    Args:
      store: the folder of the run, in which nothing is written, and what counts its tokens.
      task: as for :func:`experiments.attrprompt.methods.write_all`, and so are the others.
      made: the stages that were asked for on behalf of an earlier seed, which those of this call are added to.
    """
    made = {} if made is None else made

    def run(scales: Mapping[str, Scales], stages: dict[str, Stage]) -> tuple[StandIn, bool]:
        stand_in = StandIn(task, asked, scales)
        try:
            write_all(DryStore(store, stand_in, stages), task, methods, asked, sizes, until=until)
        except PauseError:
            return stand_in, True
        return stand_in, False

    guessed, paused = run({}, stages := dict(made))
    scales = guessed.scales(store.writer.count_tokens)
    if any(each != Scales() for each in scales.values()):  # a tokenizer of its own, by which everything is counted anew
        guessed, paused = run(scales, stages := dict(made))
    made.update(stages)
    return Expected(guessed.spent, paused)


class Scales(NamedTuple):
    """Tokens of a tokenizer for one of four bytes."""

    prompts: float = 1.0
    texts: float = 1.0


class StandIn:
    """A model that is as talkative as expected, and counts by stage and method what it is asked for.

    Args:
      task: what documents are asked for.
      asked: how much the stages ask for.
      scales: of the tokens, by stage and method.
    """

    def __init__(self, task: Task, asked: Asked, scales: Mapping[str, Scales]):
        self._asked, self._scales = asked, scales
        middles = [length + task.room / 2 for length in task.lengths]
        self._words = round(sum(middles) / len(middles)) if middles else 80
        self._said: dict[str, dict[str, str]] = {}
        self._most: dict[str, int] = {}
        self.spent: dict[str, Usage] = {}
        self.ledger = Ledger()

    def ask(self, name: str) -> GenerateFn:
        """Returns the generator of a stage or method."""
        answer = {
            "dimensions": lambda prompt: _listed([f"attribute {n}" for n in range(10)]),
            "similar": lambda prompt: _listed(_BULLET.findall(prompt)[: self._asked.similar]),
            "values": lambda prompt: _listed([f"certain value{n}" for n in range(self._asked.values)]),
            "filtered": lambda prompt: "No.",
            INSTRUCTIONS: lambda prompt: _prose(_INSTRUCTION_WORDS),
        }.get(name, self._document)

        def generate(prompts: Sequence[str], *, n: int = 1, max_tokens: int, **_: Any) -> list[list[str]]:
            said, self._most[name] = self._said.setdefault(name, {}), max_tokens
            said |= {prompt: answer(prompt) for prompt in prompts}
            took = usage_of(Answer((), (), *self._counts(name, prompt)) for prompt in prompts for _ in range(n))
            self.ledger.add(took, Usage())
            self.spent[name] = self.spent.get(name, Usage()).plus(took)
            return [[said[prompt]] * n for prompt in prompts]

        return generate

    def took(self, name: str, prompt: str) -> int:
        """Returns the tokens of a prompt and of what was written to it."""
        return sum(self._counts(name, prompt))

    def scales(self, count_tokens: Callable[[str], int]) -> dict[str, Scales]:
        """Returns how many tokens one of four bytes is, by samples of the prompts and texts of each name."""
        return {
            name: Scales(_scale(list(said), count_tokens), _scale(list(said.values()), count_tokens))
            for name, said in self._said.items()
        }

    def _counts(self, name: str, prompt: str) -> tuple[int, int]:
        scales = self._scales.get(name, Scales())
        written = round(scales.texts * guess_tokens(self._said[name][prompt]))
        return round(scales.prompts * guess_tokens(prompt)), min(written, self._most[name])

    def _document(self, prompt: str) -> str:
        asked = _LENGTH.search(prompt)
        return _prose((int(asked[1]) + int(asked[2])) // 2 if asked else self._words)


def announce(engine: Engine, expected: Mapping[str, Usage]) -> None:
    """Prints an estimate, with what it costs where the model's price is known, and what is in the pool of answers.

    Args:
      engine: the model.
      expected: by stage and method.
    """
    if not expected:
        return
    total, known, ledger = sum_of(expected.values()), usage_of(engine.known()), engine.ledger
    cost = cost_of(ledger.price, total)
    parts = "; ".join(f"{name} {usage.requests:,} of {usage.tokens:,}" for name, usage in expected.items())
    budget = f"; the budget of this run is {ledger.budget}" if ledger.budget.limits else ""
    print(
        f"{engine.name} will be asked for about {total.requests:,} answers: {total.prompt_tokens:,} tokens of prompts "
        f"and {total.completion_tokens:,} of answers, or {total.tokens:,} in all"
        f"{'' if cost is None else f' for {dollars(cost)}'} ({parts}). {known.requests:,} answers of {known.tokens:,} "
        f"tokens are there already and not paid again{budget}.",
        file=sys.stderr,
    )


def sum_of(usages: Iterable[Usage]) -> Usage:
    """Returns the sum of what was or will be asked for."""
    return functools.reduce(Usage.plus, usages, Usage())


def _prose(words: int) -> str:
    many = _PROSE.split() * (words // len(_PROSE.split()) + 1)
    return " ".join(many[:words])


def _scale(texts: Sequence[str], count_tokens: Callable[[str], int]) -> float:
    sample = list(dict.fromkeys(texts))
    sample = sample[:: -(-len(sample) // _SAMPLE)]
    return sum(map(count_tokens, sample)) / max(sum(map(guess_tokens, sample)), 1)


def _listed(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
