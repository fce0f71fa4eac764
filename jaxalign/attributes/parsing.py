"""What a model answered about a task: its classes, and yes or no."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign.attributes.task import Task
from jaxalign.prompting import Spellings, parse_values
from jaxalign.prompting.choices import read_choice
from jaxalign.prompting.names import name_of

_YES_NO = (name_of("Yes", 1), name_of("No", 0))
_WITH_DIGITS = (*_YES_NO, name_of("1", 1), name_of("0", 0))


class Matched(NamedTuple):
    """Classes that a model named.

    Attributes:
      labels: those that the task has, in order, each once.
      unknown: what it named besides.
    """

    labels: tuple[str, ...]
    unknown: tuple[str, ...]


def parse_classes(text: str, task: Task) -> Matched:
    """Reads a list of classes by their names or labels; case, blanks and marks do not count.

    Args:
      text: as the model wrote it; thinking before the answer is not read, nor lines that are no items.
      task: the classes.
    """
    values, find = parse_values(text), _finder(task)
    return _matched(values, [find(value) or find(value.partition(":")[0]) for value in values])


def match_classes(names: Sequence[str], task: Task) -> Matched:
    """Finds the class of each name, as :func:`find_class` does.

    Args:
      names: names or labels of classes, in any spelling.
      task: the classes.
    """
    return _matched(names, list(map(_finder(task), names)))


def find_class(task: Task, name: str) -> str | None:
    """Returns the label of the class that a name or label means; case, marks and accents count only where they must.

    Args:
      task: the classes.
      name: of a class, in any spelling.

    Returns:
      The label: where no label and no name is just so, that of the only class that is spelt alike. None for none, or
      for several.

    >>> task = Task("news article", {"Sci_Tech": "science and technology", "World": "world news"})
    >>> find_class(task, "Sci/Tech"), find_class(task, "Science and Technology"), find_class(task, "Sports")
    ('Sci_Tech', 'Sci_Tech', None)
    """
    return _finder(task)(name)


def parse_yes_no(text: str) -> bool | None:
    """Reads an answer of Yes or No, or of 1 or 0, by the grammar of :func:`jaxalign.prompting.parse_option`.

    Args:
      text: as the model wrote it; thinking before the answer is not read.

    Returns:
      True for yes, False for no; None for anything that is not clearly one of them.

    >>> [parse_yes_no(text) for text in ("Yes.", "No, only 1 of them is close", "1. No", "Well, yes and no")]
    [True, False, None, None]
    """
    choice = read_choice(text, _YES_NO)
    if choice is None:  # behind a clear word digits are numbers of things
        choice = read_choice(text, _WITH_DIGITS)
    return None if choice is None else bool(choice)


def _matched(names: Sequence[str], found: Sequence[str | None]) -> Matched:
    unknown = tuple(name for name, label in zip(names, found, strict=True) if label is None)
    return Matched(tuple(dict.fromkeys(label for label in found if label is not None)), unknown)


def _finder(task: Task) -> Callable[[str], str | None]:
    spellings = Spellings({label: (label, shown) for label, shown in task.classes.items()})
    return lambda name: name if name in task.classes else spellings.find(name)
