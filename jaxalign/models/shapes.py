"""Whether parameters are those of a model, in words."""

from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]


def shape_differences(expected: Shapes, given: Shapes) -> list[str]:
    """A line for each path that is missing, unexpected or of another shape.

    >>> shape_differences({"up": (2, 3), "down": (3, 2)}, {"up": (2, 4), "gate": (1,)})
    ['down: expected (3, 2), got none', 'gate: expected none, got (1,)', 'up: expected (2, 3), got (2, 4)']
    """
    return [
        f"{path}: expected {expected.get(path, 'none')}, got {given.get(path, 'none')}"
        for path in sorted(expected.keys() | given.keys())
        if expected.get(path) != given.get(path)
    ]
