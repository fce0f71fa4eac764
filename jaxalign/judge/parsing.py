"""What a judge's model wrote after any thinking, as data; what is not of the form that was asked for is None."""

from collections.abc import Sequence

from jaxalign.judge.contrasts import Contrast
from jaxalign.prompting import parse_blocks, parse_list, parse_sections


def parse_aspects(text: str, count: int) -> tuple[str, ...]:
    """Reads the first ``count`` distinct items of a list that a model wrote, each up to its colon.

    Args:
      text: as the model wrote it; thinking before the answer is not read.
      count: the most aspects to return, at least 1.

    Returns:
      The aspects in order, two that differ in case only once; () if there is no list.

    >>> parse_aspects("Sure:\\n- **Accuracy**: are facts right?\\n- Length\\n- accuracy", 3)
    ('Accuracy', 'Length')
    """
    names = [item.partition(":")[0].strip(" *.") for item in parse_list(text)]
    distinct: dict[str, str] = {}
    for name in filter(None, names):
        distinct.setdefault(name.casefold(), name)
    return tuple(distinct.values())[:count]


def parse_contrast(text: str) -> Contrast | None:
    """Reads the statements under the headings "Only A:", "Only B:" and "Both:".

    Args:
      text: as the model wrote it; thinking before the answer is not read.

    Returns:
      The contrast; None unless each of the three headings is there exactly once.

    >>> parse_contrast("Only A:\\n- it rhymes\\nOnly B: none\\nBoth:\\n- they are short")
    Contrast(only_first=('it rhymes',), only_second=(), both=('they are short',))
    """
    sections = parse_sections(text, ("only a", "only b", "both"))
    return None if sections is None else Contrast(*sections.values())


def parse_joint_contrast(text: str, aspects: Sequence[str]) -> tuple[Contrast | None, ...]:
    """Reads a contrast in each of several aspects, each below a line "Aspect: ..." that names it.

    Args:
      text: as the model wrote it; thinking before the answer is not read.
      aspects: the names that were asked for, whatever their case.

    Returns:
      One contrast for each aspect, in this order; None for an aspect without one that can be read.
    """
    found = parse_blocks(text, "aspect")
    return tuple(parse_contrast(found.get(aspect.casefold(), "")) for aspect in aspects)
