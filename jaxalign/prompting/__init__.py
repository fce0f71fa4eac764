"""What a language model wrote, read by an explicit grammar: its final answer after any thinking, options, and verdicts.

What is not clearly one of the answers that were asked for is None, for the caller to count: never a vote.

    prompting.final_text("<think>A? Or B?</think>The answer is B.")  # "The answer is B."
    prompting.read_choice("The answer is B.", prompting.names_of_options((" A", " B")))  # 1

Names load on first use.
"""

import importlib

_MODULE_OF = {
    name: module
    for module, names in {
        "choices": ("read_announced", "read_choice"),
        "names": ("Name", "bare", "names_of_options", "plain"),
        "pairs": ("parse_verdict",),
        "thinking": ("final_text",),
    }.items()
    for name in names
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
