"""How a command ends when its user has made a mistake: with one line instead of a traceback.

A mistake is what this project refuses in words of its own (``raise ValueError("expected ..., got ...")``), or what the
operating system says of a path, a permission or a connection. Everything else is a bug and keeps its traceback, as does
a mistake under ``python -X dev``. The exit code is 1 either way.
"""

import dis
import sys
from types import TracebackType

PACKAGES = ("jaxalign", "experiments", "tools", "__main__")
_RAISE = dis.opmap["RAISE_VARARGS"]
_PATHS = {
    FileNotFoundError: "expected a file or folder, and there is none of that name; check the path",
    IsADirectoryError: "expected a file, and this is a folder; name the file in it",
    NotADirectoryError: "expected a folder on the way there, and this is a file; check the path",
    FileExistsError: "expected a folder or a free name, and a file is there; choose another name",
    PermissionError: "no permission to read or write it; choose another path, or change its permissions",
}


def explain_errors() -> None:
    """Makes this process end with a line on stderr where a mistake ends it; the first thing that a command does."""
    otherwise = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        line = None if sys.flags.dev_mode else explanation(error, trace)
        if line is None:
            otherwise(kind, error, trace)
        else:
            print(f"error: {line}", file=sys.stderr, flush=True)

    sys.excepthook = explain


def explanation(error: BaseException, trace: TracebackType | None = None) -> str | None:
    """Returns what to tell the user of a mistake, in one line, and None for a bug.

    Args:
      error: what ended the command.
      trace: its traceback, by default its own.
    """
    if isinstance(error, OSError):
        return _one_line(_of_path(error))
    own = _is_own(type(error).__module__)
    refusal = own or isinstance(error, ValueError | RuntimeError | ImportError)
    return _one_line(str(error)) if refusal and _is_deliberate(trace or error.__traceback__) else None


def check_least(least: int | float, **flags: int | float | None) -> None:
    """Refuses numbers that no work can come of, before there is any.

    Args:
      least: the least that makes sense.
      flags: their values by name, None where one was not given.

    Raises:
      ValueError: one is less, or no number.
    """
    for name, value in flags.items():
        if value is not None and not value >= least:
            raise ValueError(f"--{name.replace('_', '-')}: expected at least {least:g}, got {value:g}")


def _of_path(error: OSError) -> str:
    remedy = next((words for kind, words in _PATHS.items() if isinstance(error, kind)), None)
    return str(error) if error.filename is None or remedy is None else f"{error.filename}: {remedy}"


def _is_deliberate(trace: TracebackType | None) -> bool:
    """Says whether a ``raise`` statement of this project is where the error comes from.

    NumPy's complaint about shapes has this project's line at its end too, but that line is a call.
    """
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", ""))
    return _is_own(module) and trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _one_line(text: str) -> str:
    return " ".join(text.split())
