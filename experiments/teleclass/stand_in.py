"""What a model might answer at most, for the estimate of a run: all texts as long as they may be."""

import re

_CLASS = re.compile(r"^- (.+)$", re.MULTILINE)
_COUNT = re.compile(r"^Name (\d+) ", re.MULTILINE)
_WORDS = "and so on "  # short ones, so that a tokenizer finds a token in four bytes or more of them


def write_longest(prompt: str, max_tokens: int) -> str:
    """Writes a text that this experiment's parsers read: a class that the prompt lists, terms, or a document."""
    if prompt.startswith("These are names of classes") and (listed := _CLASS.search(prompt)):
        return listed[1]
    if asked := _COUNT.search(prompt):
        return "\n".join(f"- certain term {number}" for number in range(int(asked[1])))
    return (_WORDS * (4 * max_tokens // len(_WORDS) + 1))[: 4 * max_tokens]
