"""Texts as turns of a user: how a model in this process that has a chat template is asked, as servers ask it.

    recorded = turns.in_turns(recorded)  # see jaxalign.io.llm.record
    turns.note(cache, name)  # the file of answers says so, for replays, which have no template at hand

An option is what the assistant says then, so that the blank before it, which parts it from a text, falls away.
"""

from collections.abc import Sequence
from typing import Any

from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.protocol import hash_of
from jaxalign.io.llm.record import Recorded
from jaxalign.io.llm.runs import Answer
from jaxalign.typing import OptionScore, Prompt


def in_turns(recorded: Recorded) -> Recorded:
    """Returns a model whose prompts become one turn of a user each; those that are chats stay as they are.

    Args:
      recorded: the model. What a prompt counts in tokens stays that of its text.
    """

    def generate(prompts: Sequence[Prompt], **options: Any) -> list[list[str]]:
        return recorded.generate(list(map(_turn, prompts)), **options)

    def ask(prompts: Sequence[Prompt], **options: Any) -> list[list[Answer]]:
        return recorded.ask(list(map(_turn, prompts)), **options)

    def score_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        said = [
            tuple(option.lstrip() for option in each) if isinstance(prompt, str) else each
            for prompt, each in zip(prompts, options, strict=True)
        ]
        return recorded.score_options(list(map(_turn, prompts)), said)

    return recorded._replace(generate=generate, score_options=score_options, ask=ask)


def note(cache: Cache, model: str) -> None:
    """Keeps in the file of answers that a model is asked in turns.

    Args:
      cache: the file.
      model: the name under which the model's answers are kept.
    """
    if not noted(cache, model):
        answer = Answer(("in turns",), ("",), 0, 0, (None,))  # nobody was asked
        cache.add(_key(model), model, answer, note="a text is one turn of the user, in the model's chat template")


def noted(cache: Cache, model: str) -> bool:
    """Tells whether a file of answers says that a model is asked in turns.

    Args:
      cache: the file.
      model: the name under which the model's answers are kept.
    """
    return cache.get(_key(model)) is not None


def _key(model: str) -> str:
    return hash_of(["in turns", model])


def _turn(prompt: Prompt) -> Prompt:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
