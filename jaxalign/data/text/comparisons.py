"""Two responses to one prompt as one text, for a model that reads both and says which is better.

The text is ``[CONTEXT] prompt [RESPONSE A] first [RESPONSE B] second``, or ``[SUMMARY A]``, ``[SUMMARY B]`` where the
responses are summaries. A marker that stands in the prompt or in a response is data: it gets a backslash behind its
bracket, ``[\\RESPONSE B]``, and one that has backslashes already gets one more, so that every text can be taken apart
again. A chat is written out turn by turn: what the responses answer may depend on all of it.

Source: LiPO (arXiv 2402.01878), the input of the pairwise reward-ranking model.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from jaxalign.data.records.record import Message
from jaxalign.data.text import chat

Kind = Literal["RESPONSE", "SUMMARY"]
CONTEXT = "[CONTEXT]"
_MARKERS = r"(CONTEXT|(?:RESPONSE|SUMMARY) [AB])\]"
_ARMED = re.compile(r"\[(\\*)" + _MARKERS)
_BARE = re.compile(r"\[" + _MARKERS)
_DISARMED = re.compile(r"\[\\(\\*)" + _MARKERS)


class ComparisonParts(NamedTuple):
    """What a comparison is made of.

    Attributes:
      context: the prompt; of a chat, all turns as text.
      first: the response that is called A.
      second: the response that is called B.
    """

    context: str
    first: str
    second: str


def render_comparison(prompt: str | Sequence[Message], first: str, second: str, kind: Kind = "RESPONSE") -> str:
    r"""Returns a comparison of two responses as one text; :func:`parse_comparison` takes it apart.

    Args:
      prompt: a text, or a chat, which is written out turn by turn.
      first: the response that is called A.
      second: the response that is called B.
      kind: what markers call the responses, ``"RESPONSE"`` or ``"SUMMARY"``.

    >>> render_comparison("2 + 2?", "4", "[RESPONSE A] 5")
    '[CONTEXT] 2 + 2? [RESPONSE A] 4 [RESPONSE B] [\\RESPONSE A] 5'

    Source: LiPO (arXiv 2402.01878), the input of the pairwise reward-ranking model.
    """
    parts = map(escape_markers, (render_context(prompt), first, second))
    return " ".join(part for pair in zip((CONTEXT, *response_markers(kind)), parts, strict=True) for part in pair)


def parse_comparison(text: str, kind: Kind = "RESPONSE") -> ComparisonParts:
    """Takes a comparison apart, exactly into what :func:`render_comparison` was given; a chat stays text.

    Args:
      text: from :func:`render_comparison`.
      kind: what markers call the responses, ``"RESPONSE"`` or ``"SUMMARY"``.

    Returns:
      The prompt and the two responses.

    Raises:
      ValueError: if the text does not have the three markers once each, in their order.
    """
    first, second = response_markers(kind)
    found = re.fullmatch(
        rf"{re.escape(CONTEXT)} (.*) {re.escape(first)} (.*) {re.escape(second)} (.*)", text, flags=re.DOTALL
    )
    parts = found.groups() if found else ()
    if not parts or any(map(_BARE.search, parts)):
        raise ValueError(f"expected {CONTEXT} ... {first} ... {second} ..., each marker once, got {text!r}")
    return ComparisonParts(*map(unescape_markers, parts))


def render_context(prompt: str | Sequence[Message]) -> str:
    """Returns a prompt as text: a chat as ``role: content``, with blank lines between its turns.

    Args:
      prompt: a text, which stays as it is, or a chat.
    """
    if isinstance(prompt, str):
        return prompt
    text = chat.render_template(chat.PLAIN_TEMPLATE, prompt, add_generation_prompt=False, special_tokens={})
    return text.removesuffix("\n\n")


def response_markers(kind: Kind) -> tuple[str, str]:
    """What stands before the first and before the second response."""
    return f"[{kind} A]", f"[{kind} B]"


def escape_markers(text: str) -> str:
    """Returns the text with a backslash in each marker, so that no marker is left."""
    return _ARMED.sub(r"[\\\1\2]", text)


def unescape_markers(text: str) -> str:
    """Undoes :func:`escape_markers`."""
    return _DISARMED.sub(r"[\1\2]", text)
