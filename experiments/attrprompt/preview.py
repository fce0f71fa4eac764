"""The next prompts of a run, and if asked for their answers, before anything else is paid for."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from experiments.attrprompt.storage import AskFn
from jaxalign.attributes import Failure
from jaxalign.typing import GenerateFn


class Previewed(Exception):
    """What a stage was about to ask."""

    def __init__(self, stage: str, prompts: Sequence[str], options: Mapping[str, Any]):
        super().__init__(f"{stage} asks {len(prompts)} prompts")
        self.stage, self.prompts, self.options = stage, list(prompts), dict(options)


def looking(stage: str) -> GenerateFn:
    """Returns a generator that raises :class:`Previewed` instead of asking, an ``AskFn`` by stage."""

    def generate(prompts: Sequence[str], **options: Any) -> NoReturn:
        raise Previewed(stage, prompts, options)

    return generate


def show(previewed: Previewed, count: int, ask: AskFn | None) -> None:
    """Prints the first prompts of a stage, and their answers.

    Args:
      previewed: what the stage was about to ask.
      count: how many prompts to print.
      ask: gives the generator to ask them of, as the run will, so that it finds the answers; None asks nothing.
    """
    prompts = previewed.prompts[:count]
    answers = [[""]] * len(prompts)
    if ask is not None:
        answers = ask(previewed.stage)(prompts, **previewed.options)
    print(f"{previewed.stage}: {len(prompts)} of the {len(previewed.prompts)} prompts that come next")
    for number, (prompt, texts) in enumerate(zip(prompts, answers, strict=True), 1):
        print(f"\n--- prompt {number} ---\n{prompt}")
        for text in texts if ask is not None else ():
            print(f"\n--- answer {number} ---\n{text.reason if isinstance(text, Failure) else text}")
    if ask is None:
        print("\nNothing was asked; with --preview-answers these are, and are kept.", file=sys.stderr)
