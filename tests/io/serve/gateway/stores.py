"""Stores that do not work, each in its own way."""

import threading

from jaxalign.io.serve.store.protocol import Store, StoreError


def of_every_method(call):
    """A class whose instances have all methods of a store, which do ``call(self, name)``, but for ``close``.

    The methods are there by name: Python 3.12 looks for those of a protocol without asking ``__getattr__``.
    """

    def method(name):
        return lambda self, *args, **named: call(self, name)

    methods = {name: method(name) for name in vars(Store) if not name.startswith("_")}
    return type("EveryMethod", (), {**methods, "close": lambda self: None})


def _fail(self, name):
    raise StoreError("disk full")


class BrokenStore(of_every_method(_fail)):
    """A store whose every method fails."""


def _hang(self, name):
    self.called.append(name)
    self.entered.set()
    self.go.wait()
    raise StoreError("too late")


class HangingStore(of_every_method(_hang)):
    """A store whose methods return when it is let go, and count how often they were called."""

    def __init__(self):
        self.called, self.entered, self.go = [], threading.Event(), threading.Event()
