"""Finding where a model's thinking ends and its answer begins."""

import re

_WORDS = r"(?:think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|analysis|monologue)"
# <think>, <seed:think>, <thought>, [THINK], <|begin_of_thought|>, <|START_THINKING|>, and Kimi's triangles.
_OPEN = re.compile(
    rf"<\s*(?:\w+:)?(?:\w+_)?{_WORDS}(?:\s[^<>]*)?>|\[THINK\]|<\|(?:begin|start)_(?:of_)?{_WORDS}\|>|◁{_WORDS}▷",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"<\s*/\s*(?:\w+:)?(?:\w+_)?{_WORDS}\s*>|\[/THINK\]|<\|end_(?:of_)?{_WORDS}\|>|◁/{_WORDS}▷", re.IGNORECASE
)
# OpenAI's open models name the channel of each message; servers that leave out special tokens leave the names.
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>")
_BARE_FINAL = re.compile(r"assistantfinal")
_BARE_CHANNEL = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z])")
# Gemma's medical models: <unused94>thought ... <unused95>.
_UNUSED_OPEN, _UNUSED_CLOSE = "<unused94>", "<unused95>"
# A marker of the end of an answer, and what some templates put around the answer.
_WRAPPING = re.compile(
    r"<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_RESPONSE\|>|<\|(?:return|end|im_end|eot_id|endoftext|end_of_text)\|>|"
    r"<end_of_turn>|</s>",
    re.IGNORECASE,
)


def final_text(text: str) -> str | None:
    """Returns what a model says after its thinking, or None if the thinking has no end, so that there is no answer.

    The beginning of the thinking may be missing, as it is where a template has written it.

    Args:
      text: all of it, as the model wrote it.

    >>> final_text("<think>Is it A?</think>Answer: B"), final_text("I see.</think> A"), final_text("<think>Answer: A")
    ('Answer: B', ' A', None)
    """
    if channels := list(_CHANNEL.finditer(text)):
        if channels[-1][1] != "final":
            return None
        text = text[channels[-1].end() :]
    elif _BARE_CHANNEL.match(text):
        *_, final = _BARE_FINAL.split(text) if _BARE_FINAL.search(text) else (None,)
        if final is None:
            return None
        text = final
    ends = [match.end() for match in _CLOSE.finditer(text)]
    if _UNUSED_CLOSE in text:
        ends.append(text.rindex(_UNUSED_CLOSE) + len(_UNUSED_CLOSE))
    answer = text[max(ends, default=0) :]
    if _OPEN.search(answer) or _UNUSED_OPEN in answer:
        return None
    return _WRAPPING.sub("", answer)
