"""What a model wrote after ``Explanation:``, as data; and explanations that do not give their answer away."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.ensemble.records import Explained
from jaxalign.prompting import final_text, names_of_options, read_announced

MASK = "..."
NEXT_QUESTION = "\nQuestion:"
_ANSWER = re.compile(
    r"[*_#>\s]*(?<![\w'-])(?:final\s+)?answer[*_\"'\s]*[:\uff1a]|<\s*answer\s*>|\[\[|\\boxed|^\W*answer\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^[\s*_#]*explanation[\s*_]*:[*_]*", re.IGNORECASE
)  # which models repeat, and which stands there already
_CONCLUSION = re.compile(
    r"(?:\b(?:so|thus|hence|therefore)\b,?\s*)?\bthe\s+(?:correct\s+|right\s+|final\s+)?answer\s+"
    r"(?:is|must\s+be|should\s+be|would\s+be)\b(?:[^.\n]|\.(?=\d))*\.?",  # the dot of 3.5 ends no sentence
    re.IGNORECASE,
)
# A letter that names an option; a bare "A" is an article more often.
_LETTER = re.compile(r"\([A-Z]\)|(?<!\w)[A-Z]\)|(?<!\w)(?:[Oo]ption|[Cc]hoice|[Aa]nswer)s? [A-Z](?!\w)")


class ExplainedAnswer(NamedTuple):
    """An explanation that a model wrote, and the answer in which it ends.

    Attributes:
      explanation: the text on one line, without the answer; "" if there is none.
      choice: the place of the option that it ends in; None if none can be read.
    """

    explanation: str
    choice: int | None


def parse_explained_answer(text: str, options: Sequence[str]) -> ExplainedAnswer:
    r"""Takes the answer off an explanation.

    What stands before the end of the model's thinking is neither, and a question that the model went on to make up is
    cut off. The answer is that behind the last ``Answer:``, or the last sentence such as "So the answer is B.". The
    explanation ends at the first ``Answer:``, and such sentences go too: who reads the explanation next must not read
    the answer there.

    Args:
      text: as the model wrote it.
      options: the possible answers, such as ``(" A", " B")``.

    Returns:
      The explanation and the place of the answer; neither ("" and None) if the model's thinking has no end.

    >>> parse_explained_answer(" It rains. So the answer is No.\n**Answer**: Yes", (" Yes", " No"))
    ExplainedAnswer(explanation='It rains.', choice=0)
    """
    said = final_text(text)
    if said is None:
        return ExplainedAnswer("", None)
    said = _HEADING.sub("", said, count=1).partition(NEXT_QUESTION)[0]
    found = read_announced(said, names_of_options(options))
    explanation = _ANSWER.split(said, maxsplit=1)[0]
    return ExplainedAnswer(strip_answer(explanation), found and found[0])


def strip_answer(explanation: str) -> str:
    """Returns an explanation on one line, without sentences that say what the answer is.

    Args:
      explanation: the text of an explanation.

    >>> strip_answer("It rains. Therefore, the answer is Yes.")
    'It rains.'
    """
    return " ".join(_CONCLUSION.sub(" ", explanation).split())


def mask_labels(explained: Explained) -> Explained:
    """Returns an explanation with all of the question's options blanked out, and without its answer.

    A scorer that weighs masked explanations cannot go by the label that they state. Letters are blanked where they name
    an option: ``(B)``, ``B)``, ``option B``.

    Args:
      explained: a question with an explanation.

    >>> from jaxalign.data import Question
    >>> mask_labels(Explained(Question("Does it rain?", ("Yes", "No")), "Yes, there are clouds.", 0)).explanation
    '..., there are clouds.'
    """
    longest_first = sorted(explained.question.options, key=len, reverse=True)
    label = re.compile("|".join(rf"(?<!\w){re.escape(option)}(?!\w)" for option in longest_first), re.IGNORECASE)
    masked = label.sub(MASK, _LETTER.sub(MASK, explained.explanation))
    return explained._replace(explanation=masked, answer=None)
