"""What a protein experiment needs to know of its data."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign import protein


class ProteinWorld(NamedTuple):
    """Labelled graphs in random access; those of alpha-carbons are the same proteins."""

    tasks: tuple[protein.Task, ...]
    train: Sequence[protein.LabelledGraph]
    tests: Mapping[str, Sequence[protein.LabelledGraph]]
    classes: Mapping[str, Sequence[str]]  # names, by task
