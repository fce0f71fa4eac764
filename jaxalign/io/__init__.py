"""Effects: files, sockets, clocks and environment variables. Submodules load on first use, since some are heavy."""

import importlib

_SUBMODULES = (
    "checkpoints",
    "completions",
    "hf",
    "keys",
    "launch",
    "llm",
    "loop",
    "processes",
    "records",
    "report",
    "run_folder",
    "scoring",
    "writers",
)


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
