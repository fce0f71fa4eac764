"""For child processes: TensorBoard's writer imports torch where there is one, which takes seconds."""

import importlib.abc
import sys


class NoTorch(importlib.abc.MetaPathFinder):
    """As if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("torch is not for this process", name=name)


def install() -> None:
    """From now on, in this process."""
    sys.meta_path.insert(0, NoTorch())
