"""Records as token ids, within limits.

What does not fit is cut, and counted:
  - a prompt keeps its end, the part that the response answers, behind its beginning-of-sequence token if it has one;
  - a response keeps its beginning and then has **no** end: the text does not end there, and a policy must not learn
    that it does. Every complete response ends with the end-of-sequence token, or as its chat template ends a turn.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Int

from jaxalign.data.records.record import PreferenceRecord
from jaxalign.data.text.tokenizer import TokenIds, Tokenizer
from jaxalign.data.text.turns import EncodedRecord, encode_rendered, encode_written


class EncodingReport(NamedTuple):
    """What was cut of encoded records.

    Attributes:
      prompts: how many there are.
      responses: how many there are.
      prompts_truncated: how many prompts lost tokens.
      responses_truncated: how many responses lost tokens.
    """

    prompts: int
    responses: int
    prompts_truncated: int
    responses_truncated: int


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedLists:
    """The token ids of N records with M responses, end to end in flat arrays: small, and cheap to send to a worker.

    Attributes:
      prompt_tokens: int32, prompt n is ``[prompt_starts[n]:prompt_starts[n + 1]]``.
      prompt_starts: int64 ``[N + 1]``.
      response_tokens: int32, response m is ``[response_starts[m]:response_starts[m + 1]]``.
      response_starts: int64 ``[M + 1]``.
      list_starts: int64 ``[N + 1]``: record n has the responses ``list_starts[n]`` to ``list_starts[n + 1]``.
      labels: float32 ``[M]``.
      pad_id: what batches are filled with.
      limits: the most tokens of a prompt and of a response.
      report: what was cut.
    """

    prompt_tokens: np.ndarray
    prompt_starts: np.ndarray
    response_tokens: np.ndarray
    response_starts: np.ndarray
    list_starts: np.ndarray
    labels: np.ndarray
    pad_id: int
    limits: tuple[int, int]
    report: EncodingReport

    def __len__(self) -> int:
        return len(self.list_starts) - 1

    def prompt(self, record: SupportsIndex) -> Int[np.ndarray, "..."]:
        return self.prompt_tokens[self.prompt_starts[record] : self.prompt_starts[record + 1]]

    def response(self, index: SupportsIndex) -> Int[np.ndarray, "..."]:
        """Response ``index`` of all M; those of a record follow one another from ``list_starts[record]``."""
        return self.response_tokens[self.response_starts[index] : self.response_starts[index + 1]]

    @property
    def owners(self) -> Int[np.ndarray, "M"]:
        """The record of each response."""
        return np.repeat(np.arange(len(self)), np.diff(self.list_starts))

    def fingerprint(self) -> str:
        """A hash of all token ids and how they are divided, labels aside: what a log-probability depends on."""
        digest = hashlib.sha256()
        for array in (self.prompt_starts, self.prompt_tokens, self.list_starts, self.response_starts):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(np.ascontiguousarray(self.response_tokens).tobytes())
        return digest.hexdigest()


def encode_lists(
    records: Iterable[PreferenceRecord], tokenizer: Tokenizer, *, max_prompt: int, max_response: int
) -> EncodedLists:
    """Encodes prompts and responses for a policy, in the order of the records.

    Each response is tokenised together with its prompt. A prompt that is too long keeps its end; a response that is too
    long keeps its beginning and then has no end of sequence.

    Args:
      records: lists of responses with labels.
      tokenizer: of the policy.
      max_prompt: the most tokens of a prompt.
      max_response: the most tokens of a response, its end included.

    Returns:
      The token ids, with a report of what was cut.

    Raises:
      ValueError: naming the record, if it cannot be rendered; if there is no record, or a prompt without any token, on
        which nothing could be conditioned.
    """
    return _encode(records, tokenizer, encode_written, (max_prompt, max_response))


def encode_reward_lists(
    records: Iterable[PreferenceRecord], tokenizer: Tokenizer, *, max_prompt: int, max_response: int
) -> EncodedLists:
    """Encodes prompts and responses for a reward model, which reads chats to the end of what their template renders.

    They are the tokens of :func:`encode_lists`, unless the template has generation tags and renders something behind
    them, as a line's end: hub reward models are read at the last token of the rendered chat.

    Args:
      records: lists of responses with labels.
      tokenizer: of the reward model.
      max_prompt: the most tokens of a prompt, which keeps its end.
      max_response: the most tokens of a response, its end included; a longer one keeps its beginning.

    Returns:
      The token ids, with a report of what was cut.

    Raises:
      ValueError: naming the record, if it cannot be rendered; if there is no record, or a prompt without any token.
    """
    return _encode(records, tokenizer, encode_rendered, (max_prompt, max_response))


def _encode(records, tokenizer: Tokenizer, encode_fn, limits: tuple[int, int]) -> EncodedLists:
    def parts(record: PreferenceRecord) -> tuple[TokenIds, EncodedRecord]:
        encoded = encode_fn(record, tokenizer)
        starts = encoded.prompt[:1] == [tokenizer.bos_id]
        return encoded.prompt[:starts], encoded._replace(prompt=encoded.prompt[starts:])

    return encode_parts(records, parts, pad_id=tokenizer.pad_id, limits=limits)


def encode_parts(
    records: Iterable[PreferenceRecord],
    encode_fn: Callable[[PreferenceRecord], tuple[TokenIds, EncodedRecord]],
    *,
    pad_id: int,
    limits: tuple[int, int],
) -> EncodedLists:
    """Records by a function that gives all token ids; what exceeds ``limits`` is cut and counted.

    Args:
      encode_fn: gives the beginning of a prompt that must stay, and the record without it: the rest of the prompt,
        which keeps its end, and the responses, which keep their beginning.
      limits: the most tokens of a prompt and of a response.

    Raises:
      ValueError: naming the record that ``encode_fn`` cannot encode.
    """
    max_prompt, max_response = limits
    prompts, responses, labels, cut_prompts, cut_responses = [], [], [], 0, 0
    for number, record in enumerate(records):
        try:
            head, encoded = encode_fn(record)
        except ValueError as error:
            name = f", id {record.id!r}" if record.id else ""
            raise ValueError(f"record {number}, counted from 0{name}: {error}") from error
        excess = max(len(head) + len(encoded.prompt) - max_prompt, 0)
        cut_prompts += excess > 0
        prompts.append(np.array([*head, *encoded.prompt[excess:]], np.int32))
        cut_responses += sum(len(response) > max_response for response in encoded.responses)
        responses.append([np.array(response[:max_response], np.int32) for response in encoded.responses])
        labels.append(record.labels)
    lists = lists_from_tokens(prompts, responses, labels, pad_id=pad_id, limits=limits)
    report = lists.report._replace(prompts_truncated=cut_prompts, responses_truncated=cut_responses)
    return dataclasses.replace(lists, report=report)


def lists_from_tokens(
    prompts: Sequence[TokenIds],
    responses: Sequence[Sequence[TokenIds]],
    labels: Sequence[Sequence[float]],
    *,
    pad_id: int,
    limits: tuple[int, int],
) -> EncodedLists:
    """Makes encoded lists of token ids that are there already, for instance because a model sampled them.

    Args:
      prompts: token ids of N prompts.
      responses: for each prompt the token ids of its responses, with the end-of-sequence token where there was one.
      labels: for each prompt the labels of its responses, in [0, 1].
      pad_id: what batches are filled with.
      limits: the most tokens of a prompt and of a response.

    Returns:
      The lists, in the order of the prompts.

    Raises:
      ValueError: if there is nothing, if a prompt is empty, or if something is longer than its limit.
    """
    counts = [len(of_prompt) for of_prompt in responses]
    responses = [response for of_prompt in responses for response in of_prompt]
    longest = max(map(len, prompts), default=0), max(map(len, responses), default=0)
    if not all(map(len, prompts)) or not responses or longest[0] > limits[0] or longest[1] > limits[1]:
        raise ValueError(
            f"expected prompts of 1 to {limits[0]} tokens and responses of at most {limits[1]}, got {len(prompts)} "
            f"prompts of {min(map(len, prompts), default=0)} to {longest[0]} and {len(responses)} responses of at most "
            f"{longest[1]}; an empty prompt needs a tokenizer with a beginning-of-sequence token"
        )
    return EncodedLists(
        prompt_tokens=np.concatenate(prompts).astype(np.int32),
        prompt_starts=_starts(map(len, prompts)),
        response_tokens=np.concatenate(responses).astype(np.int32),
        response_starts=_starts(map(len, responses)),
        list_starts=_starts(counts),
        labels=np.concatenate(labels).astype(np.float32),
        pad_id=pad_id,
        limits=limits,
        report=EncodingReport(len(prompts), len(responses), 0, 0),
    )


def join_lists(parts: Sequence[EncodedLists]) -> EncodedLists:
    """Returns the records of several encodings with the same limits and padding, one after the other.

    Args:
      parts: at least one.

    Raises:
      ValueError: if there is no part, or they differ in what they should share.
    """
    if len({(part.limits, part.pad_id) for part in parts}) != 1:
        raise ValueError(f"expected encodings of equal limits and padding, got {[part.limits for part in parts]}")
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("prompt_tokens", "response_tokens", "labels")
    }
    for name in "prompt_starts", "response_starts", "list_starts":
        joined[name] = _starts(np.concatenate([np.diff(getattr(part, name)) for part in parts]).tolist())
    report = EncodingReport(*map(sum, zip(*(part.report for part in parts), strict=True)))
    return EncodedLists(**joined, pad_id=parts[0].pad_id, limits=parts[0].limits, report=report)


def _starts(lengths: Iterable[int]) -> Int[np.ndarray, "..."]:
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))])
