"""MLIR's contexts, of which JAX makes one for each program that it lowers, serve many programs in tests.

A context knows some thousand operations of twenty dialects by name: to make and to drop one takes longer than to lower
a small program, and tests lower more than ten thousand.
"""

import functools
import threading

from jax._src.interpreters import mlir

PROGRAMS = 500  # of one context: it keeps their constants, types and places in the source as long as it lives

_here = threading.local()  # XLA loads dialects into the context of what it compiles: each thread has one for itself


def install():
    """Replaces the constructor of modules. Where JAX has another than is known here, it makes its own contexts."""
    original = getattr(getattr(mlir, "ModuleContext", None), "__init__", None)
    if original is None or "context" not in (original.__kwdefaults__ or ()):
        return

    @functools.wraps(original)
    def with_context(self, *arguments, context=None, **options):
        original(self, *arguments, context=context or _shared(), **options)

    mlir.ModuleContext.__init__ = with_context


def _shared():
    left = getattr(_here, "left", 0)
    if not left:
        _here.context, left = mlir.make_ir_context(), PROGRAMS
    _here.left = left - 1
    return _here.context
