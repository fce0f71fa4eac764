"""What a model wrote after ``Explanation:``, as data; and explanations that do not give their answer away."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data import parse_option
from jaxalign.ensemble.records import Explained

MASK = "..."
_ANSWER = re.compile(r"\banswer\s*:", re.IGNORECASE)
_HEADING = re.compile(r"^\s*explanation\s*:", re.IGNORECASE)  # which models repeat, and which stands there already
_CONCLUSION = re.compile(
    r"(?:\b(?:so|thus|hence|therefore)\b,?\s*)?\bthe\s+(?:correct\s+|right\s+|final\s+)?answer\s+"
    r"(?:is|must\s+be|should\s+be|would\s+be)\b(?:[^.\n]|\.(?=\d))*\.?",  # the dot of 3.5 ends no sentence
    re.IGNORECASE,
)
# A letter that names an option; a bare "A" is an article more often.
_LETTER = re.compile(r"\([A-Z]\)|(?<!\w)[A-Z]\)|(?<!\w)(?:[Oo]ption|[Cc]hoice|[Aa]nswer)s? [A-Z](?!\w)")


class ExplainedAnswer(NamedTuple):
    """An explanation, and the place of the option that it ends in; None if none can be read."""

    explanation: str
    choice: int | None


def parse_explained_answer(text: str, options: Sequence[str]) -> ExplainedAnswer:
    """Takes the answer off an explanation.

    The explanation ends at the first ``Answer:``, and a sentence such as "So the answer is B." goes too: who reads the
    explanation next must not read the answer there. Without ``Answer:`` that sentence is the answer.

    >>> parse_explained_answer(" It rains. So the answer is No.\\nAnswer: Yes", (" Yes", " No"))
    ExplainedAnswer(explanation='It rains.', choice=0)
    """
    explanation, *rest = _ANSWER.split(_HEADING.sub("", text, count=1), maxsplit=1)
    conclusions = _CONCLUSION.findall(explanation)
    said = rest[0] if rest else re.split(r"\b(?:is|be)\b", conclusions[-1], maxsplit=1)[1] if conclusions else ""
    return ExplainedAnswer(strip_answer(explanation), parse_option(said, options))


def strip_answer(explanation: str) -> str:
    """The explanation on one line, without sentences that say what the answer is.

    >>> strip_answer("It rains. Therefore, the answer is Yes.")
    'It rains.'
    """
    return " ".join(_CONCLUSION.sub(" ", explanation).split())


def mask_labels(explained: Explained) -> Explained:
    """The explanation with all of the question's options blanked out, and without its answer.

    A scorer that weighs masked explanations cannot go by the label that they state. Letters are blanked where they name
    an option: ``(B)``, ``B)``, ``option B``.

    >>> from jaxalign.data import Question
    >>> mask_labels(Explained(Question("Does it rain?", ("Yes", "No")), "Yes, there are clouds.", 0)).explanation
    '..., there are clouds.'
    """
    longest_first = sorted(explained.question.options, key=len, reverse=True)
    label = re.compile("|".join(rf"(?<!\w){re.escape(option)}(?!\w)" for option in longest_first), re.IGNORECASE)
    masked = label.sub(MASK, _LETTER.sub(MASK, explained.explanation))
    return explained._replace(explanation=masked, answer=None)
