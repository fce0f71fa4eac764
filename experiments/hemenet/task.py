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


class Some(Sequence):
    """Some items of a sequence, which are read when they are asked for."""

    def __init__(self, items: Sequence[protein.LabelledGraph], numbers: Sequence[int]):
        self.items, self.numbers = items, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> protein.LabelledGraph:
        return self.items[self.numbers[number]]


def labelled(graphs: Sequence[protein.LabelledGraph], task: protein.Task) -> Some:
    """Returns the graphs with a label of the task: from others, a network of that task alone has nothing to learn.

    Raises:
      ValueError: there is none.
    """
    numbers = [number for number in range(len(graphs)) if graphs[number].masks[task.name].any()]
    if not numbers:
        raise ValueError(
            f"{task.name}: expected a labelled protein or more to learn from, got none of {len(graphs)}. Raise their "
            "number, or leave out the task"
        )
    return Some(graphs, numbers)
