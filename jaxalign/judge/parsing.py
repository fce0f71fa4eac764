"""What a judge's model wrote, as data. Nothing is guessed: what is not of the form that was asked for is None."""

import re
from collections.abc import Sequence

from jaxalign.data import parse_option
from jaxalign.judge.contrasts import Contrast

_ITEM = re.compile(r"\s*(?:[-*•]|\d+[.)])\s+(.*\S)")
_HEADING = re.compile(r"[#*\s]*(only a|only b|both)\b[*\s]*:[*\s]*(.*)", re.IGNORECASE)
_ASPECT = re.compile(r"^[#*\s]*aspect[*\s]*:[*\s]*(.*?)[*\s]*$", re.IGNORECASE | re.MULTILINE)
_ANSWER = re.compile(r"\banswer[*\s]*(?:is\b[*\s]*:?|:)\W*((?:(?!\banswer\b)[^\n])*)", re.IGNORECASE)
_NOTHING = {"none", "nothing", "n/a", "-"}
_VERDICTS = (("a", 1.0), ("b", 0.0), ("tie", 0.5), ("neither", 0.5), ("both", 0.5))


def parse_aspects(text: str, count: int) -> tuple[str, ...]:
    """The first ``count`` distinct items of a list, each up to its colon; () if there is no list.

    >>> parse_aspects("Sure:\\n- **Accuracy**: are facts right?\\n- Length\\n- accuracy", 3)
    ('Accuracy', 'Length')
    """
    names = [match[1].partition(":")[0].strip(" *.") for line in text.splitlines() if (match := _ITEM.match(line))]
    distinct: dict[str, str] = {}
    for name in filter(None, names):
        distinct.setdefault(name.casefold(), name)
    return tuple(distinct.values())[:count]


def parse_contrast(text: str) -> Contrast | None:
    """The statements under the headings "Only A:", "Only B:" and "Both:"; None unless each of them is there once.

    >>> parse_contrast("Only A:\\n- it rhymes\\nOnly B: none\\nBoth:\\n- they are short")
    Contrast(only_first=('it rhymes',), only_second=(), both=('they are short',))
    """
    parts: dict[str, list[str]] = {}
    current = None
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line.strip()):
            name, line = heading[1].casefold(), heading[2]
            if name in parts:
                return None
            current = parts.setdefault(name, [])
        if current is not None and (statement := _statement(line)):
            current.append(statement)
    if len(parts) != 3:
        return None
    return Contrast(*(tuple(parts[name]) for name in ("only a", "only b", "both")))


def parse_joint_contrast(text: str, aspects: Sequence[str]) -> tuple[Contrast | None, ...]:
    """The contrast under each line "Aspect: ..." that names one of the aspects; None for an aspect without one."""
    pieces = _ASPECT.split(text)[1:]
    found = dict(zip(map(str.casefold, reversed(pieces[::2])), reversed(pieces[1::2]), strict=True))
    return tuple(parse_contrast(found.get(aspect.casefold(), "")) for aspect in aspects)


def parse_verdict(text: str) -> float | None:
    """What follows the last "answer:" or "answer is": 1 for A, 0 for B, one half for a tie, None for anything else.

    >>> parse_verdict("A is longer. Answer: A? No. Answer: **B**.")
    0.0
    """
    answers = _ANSWER.findall(text)
    names, values = zip(*_VERDICTS, strict=True)
    choice = parse_option(answers[-1], names) if answers else None
    return None if choice is None else values[choice]


def _statement(line: str) -> str:
    item = _ITEM.match(line)
    statement = (item[1] if item else line).strip()
    return "" if statement.strip(".* ").casefold() in _NOTHING else statement
