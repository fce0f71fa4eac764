"""Which values each document is asked to have: seeded draws, in which a document's number decides and not their count.

Documents are in rounds, one of each class, so that more documents of each class stand behind those that there were.
Draws use ``random.Random(text).random()`` alone, whose numbers no version of Python may change.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxalign.attributes.task import LENGTH, OTHER, ClassAttribute, Task


class Assignment(NamedTuple):
    """What one document is asked to be.

    Attributes:
      label: its class.
      number: its number among the documents of its class, from 0.
      values: pairs of an attribute's name and its value as text, in the order of the task; a length stands last, as
        ``("length", "30 to 80")`` words.
    """

    label: str
    number: int
    values: tuple[tuple[str, str], ...] = ()


Counts = int | Mapping[str, int]
"""Documents of every class, or of each label; a label that is missing has none."""
_Draw = Callable[[Sequence[str], str, str, int], str]


def sample_assignments(task: Task, count: Counts, *, seed: int = 0) -> tuple[Assignment, ...]:
    """Draws a value of each attribute for each document, uniformly and independently, as the paper does.

    A draw depends on the seed, the class, the document's number and the attribute's name: neither more documents nor
    another attribute change it.

    Args:
      task: classes and attributes, each of which has a value for every class that is asked for.
      count: documents of every class, or of each label.
      seed: of the draws.

    Returns:
      The assignments in rounds: number 0 of every class, then number 1, and so on.

    Raises:
      ValueError: an attribute has no value for a class, or ``count`` has an unknown label or a number below 0.

    Source: AttrPrompt (arXiv 2306.15895), section 3.
    """

    def draw(values: Sequence[str], label: str, name: str, number: int) -> str:
        return values[_below(len(values), seed, label, name, number)]

    return _assign(task, count, draw)


def balance_assignments(task: Task, count: Counts, *, seed: int = 0) -> tuple[Assignment, ...]:
    """Deals out the values of each attribute so that within each class they are equally frequent, up to one.

    Values come in blocks, each a random order of all of them, so that the first documents of a class are balanced too
    and more documents do not change earlier ones. Attributes are shuffled independently of each other.

    Args:
      task: classes and attributes, each of which has a value for every class that is asked for.
      count: documents of every class, or of each label.
      seed: of the orders.

    Returns:
      The assignments in rounds: number 0 of every class, then number 1, and so on.

    Raises:
      ValueError: an attribute has no value for a class, or ``count`` has an unknown label or a number below 0.
    """

    def draw(values: Sequence[str], label: str, name: str, number: int) -> str:
        block, place = divmod(number, len(values))
        rng = random.Random(_key(seed, label, name, f"block {block}"))
        order = sorted(range(len(values)), key=[rng.random() for _ in values].__getitem__)
        return values[order[place]]

    return _assign(task, count, draw)


def plain_assignments(task: Task, count: Counts) -> tuple[Assignment, ...]:
    """Returns assignments of a class alone, for SimPrompt and MetaPrompt, in the same rounds.

    Args:
      task: the classes.
      count: documents of every class, or of each label.

    Raises:
      ValueError: ``count`` has an unknown label or a number below 0.
    """
    return tuple(Assignment(label, number) for label, number in _rounds(task, count))


def labels_of(task: Task, assignment: Assignment) -> tuple[str, ...]:
    """Returns the labels that a document of an assignment has, its own class first.

    That is one, unless the task has ``labels_from``: then all classes under which the value of this attribute stands.

    Args:
      task: the task that the assignment was made for.
      assignment: what the document is asked to be.
    """
    value = dict(assignment.values).get(task.labels_from, OTHER)
    if not task.labels_from or value == OTHER:
        return (assignment.label,)
    attribute = task.attribute(task.labels_from)
    others = (label for label in task.classes if label != assignment.label and value in attribute.values_of(label))
    return (assignment.label, *others)


def length_values(task: Task) -> tuple[str, ...]:
    """Returns the lengths of a task's documents as texts, ``"30 to 80"`` for 30 words with room for 50 more.

    Args:
      task: its ``lengths`` and ``room`` are in words.
    """
    return tuple(f"{length} to {length + task.room}" for length in task.lengths)


def _assign(task: Task, count: Counts, draw: _Draw) -> tuple[Assignment, ...]:
    rounds = _rounds(task, count)
    _check_values(task, dict.fromkeys(label for label, _ in rounds))
    lengths = length_values(task)

    def values(label: str, number: int):
        for attribute in task.attributes:
            yield attribute.name, draw(attribute.values_of(label), label, attribute.name, number)
        if lengths:
            yield LENGTH, draw(lengths, label, LENGTH, number)

    return tuple(Assignment(label, number, tuple(values(label, number))) for label, number in rounds)


def _rounds(task: Task, count: Counts) -> list[tuple[str, int]]:
    counts = dict.fromkeys(task.classes, count) if isinstance(count, int) else dict(count)
    for label, number in counts.items():
        if label not in task.classes:
            raise ValueError(f"count: {label!r} is no label; expected one of {', '.join(task.classes)}")
        if number < 0:
            raise ValueError(f"count: expected at least 0 documents of {label!r}, got {number}")
    longest = max(counts.values(), default=0)
    return [(label, number) for number in range(longest) for label in task.classes if number < counts.get(label, 0)]


def _check_values(task: Task, labels: Mapping[str, None]) -> None:
    for attribute in task.attributes:
        for label in labels:
            if not attribute.values_of(label):
                where = f" for class {label!r}" if isinstance(attribute, ClassAttribute) else ""
                raise ValueError(
                    f"attribute {attribute.name!r} has no values{where}; have them proposed, write some, or remove it"
                )


def _below(count: int, *key: object) -> int:
    return int(random.Random(_key(*key)).random() * count)


def _key(*parts: object) -> str:
    return "\0".join(map(str, parts))
