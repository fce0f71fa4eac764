"""What a function does, as a text that changes with it: its code, its arguments, all that it reads.

Two functions of one name may do different things: partials, closures and lambdas with other arguments, methods of
other objects, the same lines after an edit, another value of a constant that they read. The text has the name, what is
bound, and a hash of the rest. Of libraries and of jaxalign names are enough; the rules of jaxalign have a number, which
is part of whatever is kept.
"""

import ast
import dataclasses
import dis
import functools
import hashlib
import inspect
import logging
import os
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import numpy as np

_PLAIN = (type(None), type(Ellipsis), bool, int, float, complex, str)
_NAMED = (types.ModuleType, types.BuiltinFunctionType, np.ufunc, logging.Logger)
_LIBRARIES = tuple({os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")})


def function_key(function: Callable) -> str:
    """Returns a text of what a function does.

    :func:`jaxalign.io.keys.of_function` is less strict, and its keys are others: if one replaced the other, what is
    kept under them would be made anew.

    Args:
      function: the function, a partial, a method or a callable object.

    Raises:
      ValueError: it depends on something of which no text can be made; the error names it and the remedy.

    >>> function_key(functools.partial(print, 1, sep="-"))
    "builtins.print with (1,), [('sep', '-')]"
    """
    return _text(function, function, ())


def _text(value: Any, whole: Callable, outer: tuple[int, ...]) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in outer:  # a function that calls itself
        return "itself"
    inner = functools.partial(_text, whole=whole, outer=(*outer, id(value)))
    if isinstance(value, types.FunctionType):
        return _of_function(value, inner)
    if isinstance(value, _NAMED):
        return _name(value)
    if isinstance(value, type):
        return _name(value) if _is_library(value) else _of_class(value, inner)
    if isinstance(value, functools.partial):
        bound = ", ".join(f"({name!r}, {inner(value.keywords[name])})" for name in sorted(value.keywords))
        return f"{inner(value.func)} with {inner(value.args)}, [{bound}]"
    if isinstance(value, types.MethodType):
        return f"{inner(value.__func__)} of {inner(value.__self__)}"
    if callable(value) and hasattr(value, "__wrapped__"):
        return inner(value.__wrapped__)
    if (text := _of_data(value, inner)) is not None:
        return text
    if not _is_library(type(value)):
        return f"{inner(type(value))} {inner(_state(value))}"
    name = getattr(whole, "__qualname__", type(whole).__qualname__)
    raise ValueError(
        f"{name} depends on {_name(type(value))}, of which no key can be made. Pass function_keys with a text of your "
        "own for it, which changes whenever the function does"
    )


def _of_data(value: Any, inner: Callable[[Any], str]) -> str | None:
    """The text of numbers, arrays, paths and what holds such."""
    if isinstance(value, bytes):
        return f"bytes {_digest(value)}"
    if isinstance(value, os.PathLike):
        return f"path {os.fspath(value)!r}"
    if hasattr(value, "__array__") and np.asarray(value).dtype != object:
        value = np.asarray(value)
        return f"{value.dtype} {value.shape} {_digest(np.ascontiguousarray(value).tobytes())}"
    if isinstance(value, types.CellType):
        return inner(value.cell_contents)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{inner(type(value))} {inner(fields)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{inner(key)}: {inner(item)}' for key, item in value.items()))}}}"
    if isinstance(value, Set):
        return f"{{{', '.join(sorted(map(inner, value)))}}}"
    if isinstance(value, list | tuple):
        texts = ", ".join(map(inner, value))
        return f"[{texts}]" if isinstance(value, list) else f"({texts}{',' if len(value) == 1 else ''})"
    return None


def _of_function(function: types.FunctionType, inner: Callable[[Any], str]) -> str:
    """Its name, and a hash of its code, defaults, what it closes over and the globals that it reads."""
    if _is_library(function) and "<locals>" not in function.__qualname__:
        return _name(function)
    closed = [cell for cell in function.__closure__ or () if _is_filled(cell)]
    state = [inner(function.__defaults__), inner(function.__kwdefaults__), *map(inner, closed)]
    if _is_library(function):
        return f"{_name(function)} over {', '.join(state)}"
    read = {name: function.__globals__[name] for name in _globals(function.__code__) if name in function.__globals__}
    state += [f"{name}={inner(read[name])}" for name in sorted(read)]
    return f"{_name(function)} {_digest(repr([_code(function), *state]).encode())[:16]}"


def _of_class(value: type, inner: Callable[[Any], str]) -> str:
    """Its name, and a hash of its methods and those of its bases."""
    methods = {}
    for base in reversed(value.__mro__):
        for name, method in vars(base).items():
            function = getattr(method, "__func__", getattr(method, "fget", method))
            if isinstance(function, types.FunctionType) and not function.__code__.co_filename.startswith("<"):
                methods[name] = function
    texts = [f"{name}={inner(methods[name])}" for name in sorted(methods)]
    return f"{_name(value)} {_digest(repr(texts).encode())[:16]}"


def _state(value: Any) -> dict[str, Any]:
    """The attributes of an object, in its dictionary or in slots."""
    slots = [name for base in type(value).__mro__ for name in _listed(vars(base).get("__slots__", ()))]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def _listed(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_library(value: types.FunctionType | type) -> bool:
    """Says whether its code is a library's, whose versions are not told apart, or jaxalign's."""
    if isinstance(value, types.FunctionType):
        file = value.__code__.co_filename
    else:
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        if file is None and value.__module__ != "__main__":
            return True
    known = str(value.__module__).split(".")[0] == "jaxalign"
    return known or bool(file) and (file.startswith("<frozen") or os.path.realpath(file).startswith(_LIBRARIES))


def _globals(code: types.CodeType) -> set[str]:
    """The globals that code and all code in it reads."""
    inside = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    own = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return own.union(*map(_globals, inside))


def _code(function: types.FunctionType) -> str:
    """What it does, without its comments, docstring and layout where its source is at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return _bytecode(function.__code__)
    definition = tree.body[0]
    if len(tree.body) != 1 or not isinstance(definition, ast.FunctionDef):
        return _bytecode(function.__code__)  # a lambda, whose source is a part of some line
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    return ast.dump(definition)


def _bytecode(code: types.CodeType) -> str:
    plain = lambda each: sorted(map(repr, each)) if isinstance(each, frozenset) else repr(each)  # noqa: E731
    constants = [_bytecode(each) if isinstance(each, types.CodeType) else plain(each) for each in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames))


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__qualname__)
    return f"{module}.{name}" if module else name


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
