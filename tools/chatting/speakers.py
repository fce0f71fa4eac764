"""A model in its own conversation: its answers token by token, and where it comes from."""

import dataclasses
import functools
import json
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxalign import models, sampling
from jaxalign.data import Message, load_tokenizer
from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import encode_continued, space_before
from jaxalign.io import hf
from jaxalign.io.hf.adapters import CONFIG as ADAPTER_FILE
from jaxalign.io.hf.adapters import adapted_config
from jaxalign.io.serve.engine.text import TextStream
from jaxalign.sampling import slots

# Rooms for prompts grow by this factor, so that a conversation that grows compiles few programs.
SMALLEST_ROOM, GROWTH = 512, 4
USER_TURN = "\nuser:"  # where a model without a template begins to ask itself
Stopped = Callable[[], bool]


@dataclasses.dataclass(frozen=True)
class Dials:
    """How answers are drawn.

    Attributes:
      temperature: 0 for the most likely token, always.
      max_new_tokens: of an answer at most.
      seed: of the random numbers; the same for all models.
    """

    temperature: float
    max_new_tokens: int
    seed: int

    @functools.cached_property
    def rule(self) -> sampling.Rule:
        """How the next token is chosen: one object, for which programs are compiled once."""
        return sampling.greedy if self.temperature == 0 else sampling.sample(sampling.temperature(self.temperature))


@dataclasses.dataclass
class Speaker:
    """A model in its own conversation."""

    name: str
    model: Any
    weights: Any
    tokenizer: Tokenizer
    end_ids: tuple[int, ...]
    chat: list[Message] = dataclasses.field(default_factory=list)

    def answer(self, question: str, dials: Dials, turn: int, stopped: Stopped) -> Iterator[str]:
        """Yields the answer to a question as it is written, with notes on how it ended, and keeps both.

        Args:
          question: what the user says.
          dials: how the answer is drawn.
          turn: the number of the question, which draws the random numbers.
          stopped: says whether the user wants no more of the answer.

        Raises:
          ValueError: the model cannot take the conversation with the question, which is then not in it.
        """
        chat = [*self.chat, Message(role="user", content=question)]
        prompt = encode_continued(chat, "", self.tokenizer)
        room, new = self._room(len(prompt), dials.max_new_tokens)
        if new < dials.max_new_tokens:
            yield f"[the model's context has room for {new} more tokens; /reset begins a new conversation]\n"
        stops = () if getattr(self.tokenizer, "has_chat_template", True) else (USER_TURN,)
        text, said, ended = None, [], False
        for token in self._tokens(prompt, room, new, dials, turn):
            text = text or TextStream(self.tokenizer.decode, stops, space_before(prompt, [token], self.tokenizer))
            ended = token in self.end_ids
            said.append("" if ended else text.add(token))
            yield said[-1]
            if ended or (ended := text.ended) or stopped():
                break
        said.append("" if text is None else text.finish())
        yield said[-1]
        if not ended:
            yield " [ended]" if stopped() else f" [cut after {new} tokens; --max-new-tokens allows more]"
        self.chat = [*chat, Message(role="assistant", content="".join(said).strip())]

    def _room(self, length: int, most: int) -> tuple[int, int]:
        """Tokens of the prompt and of the answer for which there is room."""
        longest = self.model.config.max_length
        if length >= longest:
            raise ValueError(
                f"the conversation has {length} tokens and the model's context {longest}; ask less at once, or begin a "
                "new one with /reset"
            )
        new = min(most, longest - length)
        room = SMALLEST_ROOM
        while room < length:
            room *= GROWTH
        return min(room, longest - new), new

    def _tokens(self, prompt: list[int], room: int, new: int, dials: Dials, turn: int) -> Iterator[int]:
        """Each token of an answer, the one that ends it included."""
        rule, config = dials.rule, self.model.config
        slots.check_room(config, room, new)
        tokens, mask = slots.padded_row(prompt, room)
        prefilled = slots.prefill_rows(self.model, self.weights, tokens, mask, rule=rule)
        key = slots.keys_of(jax.random.key(np.uint32(dials.seed)), np.array([turn]), np.array([0]))
        state = slots.insert(
            slots.open_slots(config, 1, room, new, rule, None), np.int32(0), prefilled, key, sharding=None
        )
        for _ in range(new):
            state, drawn, _, _ = slots.decode(self.model, self.weights, state, rule, self.end_ids, 1, new, None)
            yield int(drawn[0, 0])


def load(source: str, base: str | None = None) -> Speaker:
    """Loads a model, or an adapter on its base, and says what it is.

    Args:
      source: a directory or a hub id.
      base: the model that an adapter belongs to; None for the one that it names itself.

    Raises:
      ValueError: it is no language model, or an adapter that names no base.
    """
    directory = home = hf.resolve(source)
    adapts = (directory / ADAPTER_FILE).is_file() and not any(directory.glob("model*.safetensors"))
    if adapts:
        home = _base_of(directory, base)
    config, params = _loaded(home)
    if adapts:
        lora, adapter = hf.load_adapter(directory, config)
        config, params = adapted_config(config, lora), models.apply_lora(params, adapter, lora)
    own = (directory / "tokenizer.json").is_file() or (directory / "tokenizer.model").is_file()
    tokenizer = load_tokenizer(directory if own else home)
    model = models.build(config)
    end_ids = tuple(dict.fromkeys([*tokenizer.end_ids, *hf.end_ids(home)]))
    print(f"{source}: {config.family}, {_size(params)} parameters, a context of {config.max_length} tokens")
    if not tokenizer.has_chat_template:
        print(
            f"{source} has no chat template: it reads 'user: ...' and 'assistant: ...', and is perhaps no chat model",
            file=sys.stderr,
        )
    return Speaker(source, model, sampling.split_once(model, params), tokenizer, end_ids)


def _base_of(directory: pathlib.Path, base: str | None) -> pathlib.Path:
    base = base or json.loads((directory / ADAPTER_FILE).read_text()).get("base_model_name_or_path")
    if not base:
        raise ValueError(f"{directory} is an adapter that names no base; pass --base with its directory or hub id")
    try:
        return hf.resolve(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the base of the adapter {directory}: {error}; name it with --base") from error


def _loaded(directory: pathlib.Path) -> tuple[models.LanguageModelConfig, Any]:
    config = hf.read_config(directory)
    if not isinstance(config, models.LanguageModelConfig):
        raise ValueError(f"expected a language model, got a {type(config).__name__} in {directory}; name another one")
    return hf.load_pretrained(directory, dtype=config.dtype)


def _size(params: Any) -> str:
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    return f"{count / 1e6:,.0f} million" if count >= 1e6 else f"{count:,}"
