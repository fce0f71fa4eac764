"""Which errors of a server say that it cannot do a thing, and which say something about one request or moment."""

import enum
import re

_FEATURE = r"\becho\b|log[\s_-]*prob"
_DENIAL = (
    r"\b(not|cannot|no|only|must|invalid|forbidden|disallowed|disabled|extra|deprecated)\b|n't\b"
    r"|\bun(supported|known|recogni[sz]ed|expected|implemented|available|allowed)\b"
)
_NOT_BUILT = (
    r"(\b(not|cannot)|n't) ((yet|currently|be) )*(support|implement)|\bno longer support"
    r"|\bun(supported|implemented)\b|\bonly no echo is supported"
)
_SENTENCE = re.compile(r"[.;!?\n]\s+")
_TOO_LONG = re.compile(
    r"context[\s_-]?(?:length|window|size)|available context|reduce the length|entity too large|`inputs` tokens"
    r"|(?:prompt|inputs?|messages?|sequence|request)\W+(?:\w+\W+){0,4}?too (?:long|large)"
    r"|longer than (?:the )?(?:model|maximum|context)"
    r"|max(?:imum)?[\s_](?:model|input|sequence|seq|prompt|position)\w*(?:[\s_]\w+)?[\s_](?:len|tokens|embeddings)"
    r"|exceeds? the (?:maximum|model|limit of) .{0,40}(?:tokens|length)",
    re.IGNORECASE,
)
_ABOUT_ONE = re.compile(
    r"context|too (?:long|large|many)|length|exceed|content[\s_]?(?:filter|policy|management)|moderation|flagged|safety"
    r"|rate.?limit|quota|overload|try again|retry|later|loading|starting|timed? ?out",
    re.IGNORECASE,
)


class Refusal(enum.Enum):
    """How a server turned a request down."""

    CANNOT = "it says that it cannot do this"
    NO_ENDPOINT = "nothing is at this path"  # or the whole base URL is wrong, or the name of the model
    TOO_LONG = "it has no room for this request"
    UNCLEAR = "it does not take this request"  # for a reason that may be the request's own, or pass


def refusal_of(status: int, said: str) -> Refusal | None:
    """Returns what an error says about a server; None if it says nothing, but is about a moment, a request or the key.

    A clear statement names the field or the feature, and denies it, in one sentence. A message that also speaks of
    filters, limits or moments is about one request, and so is one about lengths. With status 500 only what is not built
    counts: llama.cpp has "Only no echo is supported", while others ask to contact their support.

    Args:
      status: the HTTP status.
      said: the server's message.

    >>> refusal_of(400, "echo: unknown field"), refusal_of(500, "logprobs broke, contact support")
    (<Refusal.CANNOT: 'it says that it cannot do this'>, None)
    """
    if status == 501:
        return Refusal.CANNOT
    if status in (404, 405):
        return Refusal.NO_ENDPOINT
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(said)):
        return Refusal.TOO_LONG
    if _ABOUT_ONE.search(said) or status not in (400, 403, 422, 500):
        return None
    denial = _NOT_BUILT if status == 500 else _DENIAL
    if any(_has(_FEATURE, each) and _has(denial, each) for each in _SENTENCE.split(said)):
        return Refusal.CANNOT
    return Refusal.UNCLEAR if status in (400, 422) else None


def _has(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
