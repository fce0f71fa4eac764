"""Text to token ids and back.

Token ids carry power: an end-of-turn id ends a turn. Text does not: ``encode`` turns a typed ``</s>`` into ordinary
tokens, and in ``encode_chat`` only what the template itself writes becomes control tokens.
"""

import functools
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tokenizers

from jaxalign.data.records.record import Answer, Message, answer_text
from jaxalign.data.text import chat

TokenIds = Sequence[int] | np.ndarray
Tools = Sequence[Mapping[str, Any]]
BYTE_PIECE_START = "<(?=0x[0-9A-F]{2}>)"
PROBE = "0123456789"  # an answer, behind which a template shows how it ends a turn


class AnsweredChat(NamedTuple):
    """The ids of a chat and of the assistant's answer to it, as the template renders both.

    Attributes:
      ids: of all of it, to its last token.
      generated: begin and end of each stretch of ids that the template marks with generation tags, those of earlier
        turns included: what the assistant writes, where the rest, a line's end behind a turn for instance, is not.
        None where the template has no such tags.
    """

    ids: list[int]
    generated: list[tuple[int, int]] | None


@runtime_checkable
class Tokenizer(Protocol):
    """What pipelines and samplers need of a tokenizer.

    Attributes:
      vocab_size: ids are below it.
      bos_id: stands before every prompt that is not a chat; None for models that know no such token.
      eos_id: ends a text.
      end_ids: what ends a sampled response: ``eos_id``, and the token with which the chat template ends a turn.
      pad_id: fills; masks hide it, so it may be any id.
      separator_ids: stand between a prompt and its response, as BERT's ``[SEP]`` does, or T5's ``</s>``, with which
        its encoder's texts end; of a decoder, none.
      text_end_ids: what the tokenizer itself writes behind a text that stands alone: BERT's ``[SEP]``, T5's ``</s>``,
        of most decoders nothing.
    """

    vocab_size: int
    bos_id: int | None
    eos_id: int
    end_ids: tuple[int, ...]
    pad_id: int
    separator_ids: tuple[int, ...]
    text_end_ids: tuple[int, ...]

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text, without any control token."""
        ...

    def decode(self, ids: TokenIds) -> str:
        """The text of ids; control tokens are left out."""
        ...

    def render_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = True, tools: Tools = ()) -> str:
        """The chat as text."""
        ...

    def encode_chat(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        continuation: str = "",
        tools: Tools = (),
    ) -> list[int]:
        """The ids of the chat as text, control tokens included, and of ordinary text that goes on where it ends."""
        ...

    def encode_answered(self, messages: Sequence[Message], answer: Answer, *, tools: Tools = ()) -> AnsweredChat:
        """The ids of the chat with the assistant's next turn, ended as the template ends it.

        Without a template they are those of :meth:`encode_chat` with the text as its continuation, and ``eos_id``.
        """
        ...

    def save(self, directory: str | os.PathLike) -> None:
        """Writes files that transformers' ``AutoTokenizer`` and :func:`jaxalign.data.load_tokenizer` load."""
        ...


class HfTokenizer:
    """A :class:`Tokenizer` on the tokenizers library.

    Args:
      backend: what tokenizer.json holds.
      config: what tokenizer_config.json holds: the names of special tokens, ``add_bos_token``, ``tokenizer_class``.
        BERT's ``cls_token`` and ``sep_token`` begin and end a sequence where no others are named.
      chat_template: Jinja source; without one, chats are written as ``role: content``.
      tool_template: Jinja source for chats with tools, where it is another one.
      files: those that the tokenizer was read from, by name; :meth:`save` writes them as they are.

    Raises:
      ValueError: if the config names no end-of-sequence token, or one that the vocabulary lacks.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        config: Mapping[str, Any],
        *,
        chat_template: str | None = None,
        tool_template: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ):
        self._config = dict(config)
        self.files = dict(files or {})
        self._chat_template = chat_template
        self._tool_template = tool_template
        self._special_tokens = {
            name: token["content"] if isinstance(token, Mapping) else token
            for name, token in config.items()
            if name.endswith("_token") and isinstance(token, str | Mapping)
        }
        for name, of_bert in (("bos_token", "cls_token"), ("eos_token", "sep_token")):
            if name not in self._special_tokens and of_bert in self._special_tokens:
                self._special_tokens[name] = self._special_tokens[of_bert]
        self._backend = _guarded(backend)
        self._ordinary = tokenizers.Tokenizer.from_str(self._backend.to_str())
        self._ordinary.encode_special_tokens = True
        self.vocab_size = 1 + max(self._backend.get_vocab().values())
        self.eos_id = self._id("eos_token")
        self.bos_id = self._id("bos_token") if self._starts_with_bos() else None
        self.pad_id = self._id("pad_token") if "pad_token" in self._special_tokens else self.eos_id
        separates = "sep_token" in self._special_tokens or self._only_ends_texts()
        self.separator_ids = self._separator() if separates else ()

    def encode(self, text: str) -> list[int]:
        return self._ordinary.encode(text, add_special_tokens=False).ids

    def decode(self, ids: TokenIds) -> str:
        return self._backend.decode([int(token) for token in ids], skip_special_tokens=True)

    def render_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = True, tools: Tools = ()) -> str:
        return self._rendered(messages, add_generation_prompt, tools).text

    def encode_chat(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        continuation: str = "",
        tools: Tools = (),
    ) -> list[int]:
        answer = Message(role="assistant", content=continuation)
        *disarmed, answer = chat.disarm([*messages, answer], self._control_tokens)
        text = self._rendered(disarmed, add_generation_prompt, tools).text
        chat.check_complete(disarmed, text)
        ids = self._backend.encode(text + answer["content"], add_special_tokens=False).ids
        # A template writes the token that starts a sequence itself; the plain form leaves it to us.
        return [self.bos_id, *ids] if self._chat_template is None and self.bos_id is not None else ids

    def encode_answered(self, messages: Sequence[Message], answer: Answer, *, tools: Tools = ()) -> AnsweredChat:
        if self._chat_template is None:
            ids = self.encode_chat(messages, continuation=answer_text(answer), tools=tools)
            return AnsweredChat([*ids, self.eos_id], None)
        last = Message(role="assistant", content=answer) if isinstance(answer, str) else answer
        disarmed = chat.disarm([*messages, last], self._control_tokens)
        text, generated = self._rendered(disarmed, False, tools)
        chat.check_complete(disarmed, text)
        encoding = self._backend.encode(text, add_special_tokens=False)
        return AnsweredChat(encoding.ids, _token_spans(encoding.offsets, generated) if generated else None)

    def _rendered(self, messages: Sequence[Message], add_generation_prompt: bool, tools: Tools) -> chat.Rendered:
        template = chat.PLAIN_TEMPLATE if self._chat_template is None else self._chat_template
        return chat.render_marked(
            self._tool_template if tools and self._tool_template is not None else template,
            messages,
            add_generation_prompt=add_generation_prompt,
            special_tokens=self._special_tokens,
            tools=tools,
        )

    def save(self, directory: str | os.PathLike) -> None:
        # Beside a config.json of model_type qwen2, transformers insists on its byte-level class whatever is written
        # here, and misreads a SentencePiece tokenizer; every other family that jaxalign exports takes this one.
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self._config, **self._special_tokens}
        if self._chat_template is not None:
            config["chat_template"] = self._chat_template
        texts = {"tokenizer.json": self._backend.to_str(pretty=True)}
        texts["tokenizer_config.json"] = json.dumps(config, indent=2)
        for name, content in {**{name: text.encode() for name, text in texts.items()}, **self.files}.items():
            file = pathlib.Path(directory) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def with_chat_template(self, template: str) -> "HfTokenizer":
        """Returns the same tokenizer with another chat template, which :meth:`save` writes.

        Args:
          template: Jinja source.
        """
        files = {**self.files, "chat_template.jinja": template.encode()} if self.files else {}
        return HfTokenizer(self._backend, self._config, chat_template=template, files=files)

    @property
    def has_chat_template(self) -> bool:
        """Says whether chats have a form of their own, as those of models that were trained on chats have."""
        return self._chat_template is not None

    @functools.cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """The id of every token; two models whose tokenizers have equal ones can be compared token by token."""
        return self._backend.get_vocab()

    @functools.cached_property
    def end_ids(self) -> tuple[int, ...]:
        if self._chat_template is None:
            return (self.eos_id,)
        probe = [Message(role="user", content="?"), Message(role="assistant", content=PROBE)]
        try:
            text = self.render_chat(probe, add_generation_prompt=False)
        except ValueError:  # a template for other chats
            return (self.eos_id,)
        added = self._backend.get_added_tokens_decoder()
        behind = self._backend.encode(text.rpartition(PROBE)[2], add_special_tokens=False).ids
        return tuple(dict.fromkeys([self.eos_id, *[token for token in behind if token in added][:1]]))

    @functools.cached_property
    def text_end_ids(self) -> tuple[int, ...]:
        if (stated := self._config.get("add_eos_token")) is not None and not self.separator_ids:
            return (self.eos_id,) if stated else ()
        alone = self._ordinary.encode("a")
        own = [place for place, text in enumerate(alone.sequence_ids) if text is not None]
        return tuple(alone.ids[own[-1] + 1 :]) if own else ()

    @functools.cached_property
    def _control_tokens(self) -> list[str]:
        return [token.content for token in self._backend.get_added_tokens_decoder().values() if token.special]

    @functools.cached_property
    def special_ids(self) -> Mapping[str, int]:
        """The id of every token that decoded text leaves out, by its spelling."""
        added = self._backend.get_added_tokens_decoder()
        return {token.content: id for id, token in added.items() if token.special}

    def _id(self, name: str) -> int:
        token = self._special_tokens.get(name)
        found = None if token is None else self._backend.token_to_id(token)
        if found is None:
            reason = "names none" if token is None else f"names {token!r}, which is not in the vocabulary"
            raise ValueError(f"a tokenizer needs {name}, but its tokenizer_config.json {reason}; set it there")
        return found

    def _starts_with_bos(self) -> bool:
        if "bos_token" not in self._special_tokens:
            return False
        if (stated := self._config.get("add_bos_token")) is not None:
            return bool(stated)
        return self._backend.encode("").ids[:1] == [self._id("bos_token")]

    def _only_ends_texts(self) -> bool:
        """T5's way: no token begins a sequence, and the tokenizer itself writes the one that ends it."""
        return "bos_token" not in self._special_tokens and self._backend.encode("").ids == [self.eos_id]

    def _separator(self) -> tuple[int, ...]:
        """What the tokenizer itself writes between two texts that make a pair."""
        pair = self._backend.encode("a", "b")
        first, second = (pair.sequence_ids.index(text) for text in (0, 1))
        between = zip(pair.ids[first:second], pair.sequence_ids[first:second], strict=True)
        return tuple(token for token, text in between if text is None)


def _token_spans(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The tokens that overlap with each span of characters, as transformers' masks of the assistant have them."""
    found = []
    for begin, end in spans:
        inside = [n for n, (start, stop) in enumerate(offsets) if start < end and stop > begin]
        if inside:
            found.append((inside[0], inside[-1] + 1))
    return found


def _guarded(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Keeps a unigram model from segmenting a typed ``</s>`` or ``<0x0A>`` into the piece of that spelling.

    Other models build pieces from merges, which never make those. A split after the first character is enough.
    """
    state = json.loads(backend.to_str())
    if state["model"]["type"] != "Unigram":
        return backend
    special = {token["content"] for token in state["added_tokens"] if token["special"]}
    spelled = sorted(piece for piece, _ in state["model"]["vocab"] if piece in special and len(piece) > 1)
    pattern = "|".join([BYTE_PIECE_START, *(f"{re.escape(piece[0])}(?={re.escape(piece[1:])})" for piece in spelled)])
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    present = state["pre_tokenizer"] or {"type": "Sequence", "pretokenizers": []}
    steps = present["pretokenizers"] if present["type"] == "Sequence" else [present]
    if split not in steps:
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*steps, split]}
    return tokenizers.Tokenizer.from_str(json.dumps(state))
