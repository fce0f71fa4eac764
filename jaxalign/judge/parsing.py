"""What a judge's model wrote after any thinking, as data; what is not of the form that was asked for is None."""

import re
from collections.abc import Sequence

from jaxalign.judge.contrasts import Contrast
from jaxalign.prompting import final_text, parse_verdict

__all__ = ["parse_aspects", "parse_contrast", "parse_joint_contrast", "parse_verdict"]

_ITEM = re.compile(r"\s*(?:[-*•]|\d+[.)])\s+(.*\S)")
_HEADING = re.compile(r"[#*\s]*(only a|only b|both)\b[*\s]*:[*\s]*(.*)", re.IGNORECASE)
_ASPECT = re.compile(r"^[#*\s]*aspect[*\s]*:[*\s]*(.*?)[*\s]*$", re.IGNORECASE | re.MULTILINE)
_NOTHING = {"none", "nothing", "n/a", "-"}


def parse_aspects(text: str, count: int) -> tuple[str, ...]:
    """The first ``count`` distinct items of a list, each up to its colon; () if there is no list.

    >>> parse_aspects("Sure:\\n- **Accuracy**: are facts right?\\n- Length\\n- accuracy", 3)
    ('Accuracy', 'Length')
    """
    text = final_text(text) or ""
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
    text = final_text(text) or ""
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
    pieces = _ASPECT.split(final_text(text) or "")[1:]
    found = dict(zip(map(str.casefold, reversed(pieces[::2])), reversed(pieces[1::2]), strict=True))
    return tuple(parse_contrast(found.get(aspect.casefold(), "")) for aspect in aspects)


def _statement(line: str) -> str:
    item = _ITEM.match(line)
    statement = (item[1] if item else line).strip()
    return "" if statement.strip(".* ").casefold() in _NOTHING else statement
