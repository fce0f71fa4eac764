"""Numbers that give no sample, told before anything is compiled."""

import operator


def check_sizes(**sizes: int) -> None:
    """Each is a whole number of at least 1.

    Raises:
      ValueError: naming the first that is not.
    """
    for name, value in sizes.items():
        try:
            fits = operator.index(value) >= 1
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
