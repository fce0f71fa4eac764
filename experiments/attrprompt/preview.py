"""The next prompts of a run, and if asked for their answers, before anything else is paid for."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from experiments.attrprompt.storage import AskFn
from jaxalign.attributes import Failure
from jaxalign.io.llm.service import Ledger
from jaxalign.typing import GenerateFn


class Previewed(Exception):
    """What a stage or method was about to ask."""

    def __init__(self, stage: str, prompts: Sequence[str], options: Mapping[str, Any]):
        super().__init__(f"{stage} asks {len(prompts)} prompts")
        self.stage, self.prompts, self.options = stage, list(prompts), dict(options)


class Looking:
    """What a run asks in the place of a model: instead of answering it raises :class:`Previewed`."""

    def __init__(self):
        self.ledger = Ledger()

    def ask(self, name: str) -> GenerateFn:
        """Returns what raises for a stage or method."""

        def generate(prompts: Sequence[str], **options: Any) -> NoReturn:
            raise Previewed(name, prompts, options)

        return generate

    def took(self, name: str, prompt: str) -> int:
        """Returns 0, since nothing is written."""
        return 0


def show(previewed: Previewed, count: int, ask: AskFn | None) -> None:
    """Prints the first prompts of a stage or method, and the first answer to each.

    Args:
      previewed: what was about to be asked.
      count: how many prompts to print.
      ask: gives the generator to ask them of, as the run will, so that it finds the answers; None asks nothing.
    """
    prompts = previewed.prompts[:count]
    answers = [] if ask is None else ask(previewed.stage)(prompts, **{**previewed.options, "n": 1})
    print(f"{previewed.stage}: {len(prompts)} of the {len(previewed.prompts)} prompts that come next")
    for number, prompt in enumerate(prompts, 1):
        print(f"\n--- prompt {number} ---\n{prompt}")
        for text in answers[number - 1] if answers else ():
            print(f"\n--- answer {number} ---\n{text.reason if isinstance(text, Failure) else text}")
    if ask is None:
        print("\nNothing was asked; with --preview-answers these are, and are kept.", file=sys.stderr)
