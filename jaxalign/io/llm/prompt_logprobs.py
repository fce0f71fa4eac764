"""Log-probabilities of a text that is sent, from servers whose ``/completions`` repeat it (``echo``). No effects.

vLLM, SGLang, llama-cpp-python and OpenAI's older models do; the reply has all tokens of the text, one more that the
server makes up, which is left out, and ``token_logprobs`` with null for the first:

    {"choices": [{"text": ..., "logprobs": {"tokens": ["Is", " it", "?"], "token_logprobs": [null, -2.5, -0.1], ...}}],
     "usage": {"prompt_tokens": 2, ...}}

``text_offset`` is not used: servers count special tokens, which are not in the text, and bytes in their own ways.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from jaxalign.io.llm.replies import Answer, MalformedError, NotOfferedError, logprob, parse_reply
from jaxalign.typing import OptionScore

_MARGIN = 16  # tokens before an option that are kept, so that those which the tokenizer joined to it are among them


@dataclasses.dataclass(frozen=True)
class Echo:
    """A text and its continuation, tokenised together, of which the server tells the last tokens' log-probabilities.

    The answer keeps as many tokens as the continuation can have, and some before it, in ``logprobs``; its text is the
    continuation.

    Attributes:
      text: what stands before the continuation.
      continuation: what is scored.
    """

    path: ClassVar[str] = "/completions"
    n: ClassVar[int] = 1
    sample: ClassVar[int] = 0

    text: str
    continuation: str = ""

    @property
    def unsent(self) -> int:
        """How many tokens are kept: a token has a byte or more."""
        return len(self.continuation.encode(errors="replace")) + _MARGIN

    @property
    def prompt(self) -> str:
        """What is sent."""
        return self.text + self.continuation

    @property
    def ending(self) -> str:
        """What is sent, for errors."""
        return self.prompt

    def body(self, model: str) -> dict[str, Any]:
        """Returns the JSON to send.

        Args:
          model: the server's name for the model.
        """
        # At temperature 1, since some servers divide by it before they take logarithms. Many refuse max_tokens 0.
        asked = {"max_tokens": 1, "temperature": 1.0, "echo": True, "logprobs": 1}
        return {"model": model, "prompt": self.prompt, **asked}

    def parse(self, reply: str) -> Answer:
        """Returns the answer in a server's reply.

        Args:
          reply: the text of the reply.

        Raises:
          MalformedError: it is not a completion.
          NotOfferedError: it has no log-probabilities of what was sent.
          RejectedError: no other attempt will bring an answer.
        """
        choices, usage = parse_reply(reply)
        if len(choices) != 1 or not isinstance(choices[0], dict) or not isinstance(choices[0].get("text"), str):
            raise MalformedError(f"expected one choice with a text, got {str(choices)[:200]}")
        return Answer(
            texts=(self.continuation,),
            finish=(str(choices[0].get("finish_reason") or ""),),
            **usage,
            logprobs=(_tokens(choices[0].get("logprobs"), usage["prompt_tokens"])[-self.unsent :],),
        )


def scores_of_echoes(alone: Answer, joint: Sequence[Answer]) -> list[OptionScore]:
    """The scores of a prompt's options, from where the tokens of the prompt alone and with each option stop agreeing.

    See :mod:`jaxalign.data.text.options`, whose scores these are. Where a log-probability is missing (null or NaN),
    none of the options can be scored: all are -inf.

    Args:
      alone: the answer to an :class:`Echo` of the prompt alone.
      joint: the answers to those of the prompt with each option.

    Raises:
      ValueError: tokens from further back than what was kept differ; options are no different as tokens.
    """
    rows = [dict(enumerate(answer.logprobs[0], answer.prompt_tokens - len(answer.logprobs[0]))) for answer in joint]
    last = dict(enumerate(alone.logprobs[0], alone.prompt_tokens - len(alone.logprobs[0])))
    first = max(min(each) for each in (last, *rows))
    common = first
    while common in last and len({each.get(common, {}).get("token") for each in (last, *rows)}) == 1:
        common += 1
    if common == first and first > 0:
        raise ValueError(
            f"the option {joint[0].texts[0]!r} changes tokens more than {_MARGIN} places before it, which were not kept"
        )
    suffixes = [[row[place] for place in sorted(row) if place >= common] for row in rows]
    if not common:
        raise ValueError("the prompt has no token before its options to condition them on; begin with a text")
    _check_different([answer.texts[0] for answer in joint], suffixes)
    logps = [[logprob(entry["logprob"]) for entry in suffix] for suffix in suffixes]
    if any(None in row for row in logps):
        return [OptionScore(-math.inf, len(row)) for row in logps]
    return [OptionScore(sum(row), len(row)) for row in logps]


def _tokens(logprobs: Any, count: int | None) -> list[dict[str, Any]]:
    """The sent tokens with their log-probabilities; what the server added behind them is left out."""
    tokens, values = (
        logprobs.get(name) if isinstance(logprobs, dict) else None for name in ("tokens", "token_logprobs")
    )
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        raise NotOfferedError("the reply has no log-probabilities of tokens")
    if count is None:
        raise NotOfferedError("the reply does not say how many tokens were sent (usage.prompt_tokens)")
    if len(tokens) < count:
        raise NotOfferedError(
            f"the reply has log-probabilities of {len(tokens)} tokens, and {count} were sent: no echo"
        )
    pairs = zip(tokens[:count], map(logprob, values[:count]), strict=True)
    entries = [{"token": token, "logprob": value} for token, value in pairs]
    # One that is missing among others is kept as None; without any, the server does not tell them.
    if not entries or (len(entries) > 1 and all(each["logprob"] is None for each in entries[1:])):
        raise NotOfferedError("the reply has no log-probabilities of the tokens that were sent")
    return entries


def _check_different(options: Sequence[str], suffixes: Sequence[list[dict[str, Any]]]) -> None:
    """Parts of characters are all shown as U+FFFD, whatever they are."""
    tokens = [
        [(n, place) if "\ufffd" in entry["token"] else entry["token"] for place, entry in enumerate(suffix)]
        for n, suffix in enumerate(suffixes)
    ]
    for n, one in enumerate(tokens):
        for m, other in enumerate(tokens):
            if n != m and one == other[: len(one)]:
                raise ValueError(f"the tokens of {options[n]!r} begin those of {options[m]!r}; choose other words")
