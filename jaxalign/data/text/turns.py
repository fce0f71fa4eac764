"""Prompts and the responses to them as token ids, each tokenised as it stands in its context.

A text and its response are tokenised together, since a tokenizer may join the end of the one and the beginning of the
other, or write a space where a text begins. With j_k the ids of the prompt followed by response k, and c the length of
what the ids of the prompt alone and all j_k have in common at their beginning,

    prompt = j_k[:c]        response k = j_k[c:]

which is the prompt's own ids wherever nothing is joined. To a chat the response is what the template renders for the
assistant's message, its end included; where the template marks with generation tags what the assistant writes, a
policy learns exactly that, and a reward model reads on to the end of what is rendered. A text ends with ``eos_id``.

What an encoder reads is a text of its own: behind ``separator_ids`` a response is tokenised by itself. Responses that
are tokens already stay as they are.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data.records.record import Answer, PreferenceRecord, answer_text
from jaxalign.data.text.tokenizer import AnsweredChat, TokenIds, Tokenizer, Tools
from jaxalign.typing import Prompt


class EncodedRecord(NamedTuple):
    """The token ids of one record.

    Attributes:
      prompt: what all responses follow.
      responses: the ids of each response with its end.
    """

    prompt: list[int]
    responses: list[list[int]]


def encode_prompt(record: PreferenceRecord, tokenizer: Tokenizer) -> list[int]:
    """Returns the ids after which a model writes its response to a record's prompt.

    Args:
      record: its prompt and tools are encoded, its responses are not.
      tokenizer: of the model.
    """
    return encode_continued(record.prompt, "", tokenizer, tools=record.tools)


def encode_continued(prompt: Prompt, continuation: str, tokenizer: Tokenizer, *, tools: Tools = ()) -> list[int]:
    """Returns the ids of a prompt and ordinary text behind it, tokenised together; tokens at the border may be joined.

    A text stands behind the beginning-of-sequence token, if there is one; a chat is as its template writes it. Then
    comes what an encoder's tokenizer writes between two texts, which keeps them apart: BERT's ``[CLS] prompt [SEP]``,
    to which a response with its end makes ``[CLS] prompt [SEP] response [SEP]``.

    Args:
      prompt: a text, or a chat in which the assistant goes on.
      continuation: the text behind it; "" for none.
      tokenizer: of the model.
      tools: JSON schemas of the functions that the assistant of a chat may call.
    """
    if tokenizer.separator_ids and continuation:
        return [*encode_continued(prompt, "", tokenizer, tools=tools), *tokenizer.encode(continuation)]
    if not isinstance(prompt, str):
        ids = tokenizer.encode_chat(prompt, add_generation_prompt=True, continuation=continuation, tools=tools)
        return [*ids, *tokenizer.separator_ids]
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return [*start, *tokenizer.encode(prompt + continuation), *tokenizer.separator_ids]


def encode_written(record: PreferenceRecord, tokenizer: Tokenizer) -> EncodedRecord:
    """Returns the ids that a policy learns: the responses as the assistant writes them.

    Args:
      record: a prompt and its responses.
      tokenizer: of the policy.

    Raises:
      ValueError: if the template leaves out a part of the chat, or marks more or less than one stretch of an answer.
    """
    alone, joint = _joint(record, tokenizer)
    border = _border(alone, joint)
    spans = [_written(each, border) for each in joint]
    border = min(begin for begin, _ in spans)
    if any(each.ids[:border] != joint[0].ids[:border] for each in joint) or {begin for begin, _ in spans} != {border}:
        raise ValueError(
            "the chat template marks answers to one prompt as the assistant's from different places on, so that they "
            "have no prompt in common; use a template whose generation tags begin where the assistant's turn does"
        )
    return EncodedRecord(
        list(joint[0].ids[:border]), [list(each.ids[border:end]) for each, (_, end) in zip(joint, spans, strict=True)]
    )


def encode_rendered(record: PreferenceRecord, tokenizer: Tokenizer) -> EncodedRecord:
    """Returns the ids that a reward model reads: the responses to the end of what the template renders for them.

    Args:
      record: a prompt and its responses.
      tokenizer: of the reward model.

    Raises:
      ValueError: if the template leaves out a part of the chat.
    """
    alone, joint = _joint(record, tokenizer)
    border = _border(alone, joint)
    return EncodedRecord(list(joint[0].ids[:border]), [list(each.ids[border:]) for each in joint])


def _joint(record: PreferenceRecord, tokenizer: Tokenizer) -> tuple[list[int], list[AnsweredChat]]:
    """The ids of the prompt alone, and of the prompt with each response."""
    alone = encode_prompt(record, tokenizer)
    written = record.tokens or (None,) * len(record.responses)
    return alone, [_answered(record, alone, *each, tokenizer) for each in zip(record.responses, written, strict=True)]


def _answered(
    record: PreferenceRecord, alone: list[int], answer: Answer, tokens: TokenIds | None, tokenizer: Tokenizer
) -> AnsweredChat:
    """The ids of the prompt, which alone has the ids ``alone``, with one response."""
    if tokens is not None:
        return AnsweredChat([*alone, *map(int, tokens)], None)
    if tokenizer.separator_ids:
        return AnsweredChat([*alone, *tokenizer.encode(answer_text(answer)), tokenizer.eos_id], None)
    if not isinstance(record.prompt, str):
        return tokenizer.encode_answered(record.prompt, answer, tools=record.tools)
    return AnsweredChat([*encode_continued(record.prompt, answer_text(answer), tokenizer), tokenizer.eos_id], None)


def _border(alone: Sequence[int], joint: Sequence[AnsweredChat]) -> int:
    return min(common_length(alone, each.ids) for each in joint)


def _written(chat: AnsweredChat, border: int) -> tuple[int, int]:
    """Begin and end of what the assistant writes in its last turn."""
    if chat.generated is None:
        return border, len(chat.ids)
    own = [span for span in chat.generated if span[1] > border]
    if not own or any(end < begin for (_, end), (begin, _) in itertools.pairwise(own)):
        raise ValueError(
            f"expected a chat template that marks one stretch of an answer as the assistant's, got {len(own)}; put "
            "one pair of generation tags around it"
        )
    return own[0][0], own[-1][1]


def space_before(prompt: TokenIds, answer: TokenIds, tokenizer: Tokenizer) -> str:
    """The space with which an answer begins behind its prompt, where decoding the answer alone leaves it out.

    SentencePiece writes a space where a text begins and takes it away when it decodes one, so that the tokens of
    ``" 4"`` behind ``"2 + 2 ="`` alone are the text ``"4"``.
    """
    if tokenizer.separator_ids or not len(answer):
        return ""
    tail, first = list(prompt[-8:]), list(answer[:1])  # a few tokens show what stands before the answer
    return " " if tokenizer.decode([*tail, *first]) == f"{tokenizer.decode(tail)} {tokenizer.decode(first)}" else ""


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences have in common at their beginning."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
