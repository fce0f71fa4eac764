"""The prompts of a judge: pure text, of a pair as it is shown (its ``first`` text is A).

Every prompt begins with the pair, so that prompts about one pair share their beginning, and each kind ends with a
heading of its own. Markers inside the texts are escaped, see :mod:`jaxalign.data.text.comparisons`.

The wording is ours; the paper's prompts were not at hand.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data import PreferencePair, render_comparison
from jaxalign.data.text.comparisons import Kind
from jaxalign.judge.contrasts import Contrast, Table

TEXT_OPTIONS = (" A", " B")
MATCH_OPTIONS = (" 1", " 2")
RATING_OPTIONS = (" Yes", " No")
QUESTION = "[QUESTION]"
WHOLE = "overall quality"
"""The one aspect of a comparison without aspects."""


class JudgeTask(NamedTuple):
    """What is asked of two texts.

    Attributes:
      question: which of the two is wanted, as a sentence.
      kind: what the texts are called in prompts, ``"RESPONSE"`` or ``"SUMMARY"``.
    """

    question: str
    kind: Kind = "RESPONSE"


SUMMARISATION = JudgeTask("Which summary says what matters in the context, and nothing that is not in it?", "SUMMARY")
RETRIEVAL = JudgeTask("Which response is the passage that answers the query in the context better?")
RATING = JudgeTask("Which response does better what the instruction in the context asks for?")


def render_aspects(task: JudgeTask, pair: PreferencePair, count: int) -> str:
    """Returns the prompt that asks for aspects of comparison; :func:`~jaxalign.judge.parse_aspects` reads the answer.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      count: how many aspects to ask for.
    """
    return (
        f"{_render_pair(task, pair)}\nName the {count} aspects in which A and B differ and that matter most for this "
        'question, each in a few words on a line of its own that begins with "- ".\n\nAspects:\n'
    )


def render_contrast(task: JudgeTask, pair: PreferencePair, aspect: str) -> str:
    """Returns the prompt that asks for a contrast in one aspect, for :func:`~jaxalign.judge.parse_contrast`.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      aspect: in which to compare them.
    """
    return f"{_render_pair(task, pair)}\n{_CONTRAST}\n\nAspect: {aspect}\n"


def render_joint_contrast(task: JudgeTask, pair: PreferencePair, aspects: Sequence[str]) -> str:
    """Returns the prompt that asks for contrasts in all aspects at once.

    :func:`~jaxalign.judge.parse_joint_contrast` reads the answer.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      aspects: in which to compare them.
    """
    return (
        f'{_render_pair(task, pair)}\n{_CONTRAST} Do so for each of these aspects, after a line "Aspect: " with its '
        f"name: {'; '.join(aspects)}.\n\nContrasts by aspect:\n"
    )


def render_match(task: JudgeTask, pair: PreferencePair, aspect: str, first: Contrast, second: Contrast) -> str:
    """Returns the prompt that asks which of two contrasts is the better one; the answer is one of ``MATCH_OPTIONS``.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      aspect: the aspect of both contrasts.
      first: the contrast that is called 1.
      second: the contrast that is called 2.
    """
    return (
        f"{_render_pair(task, pair)}\nTwo comparisons of A and B on the aspect {aspect}:\n\n"
        f"Comparison 1\n{_render_parts(first)}\n\nComparison 2\n{_render_parts(second)}\n\n"
        "Which comparison is true to both texts, free of contradictions, and tells them apart more clearly?\n"
        "Better comparison:"
    )


def render_rating(task: JudgeTask, pair: PreferencePair, aspect: str, contrast: Contrast) -> str:
    """Returns the prompt that asks of one contrast whether it is good; the answer is one of ``RATING_OPTIONS``.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      aspect: the aspect of the contrast.
      contrast: what to rate.
    """
    return (
        f"{_render_pair(task, pair)}\nA comparison of A and B on the aspect {aspect}:\n\n{_render_parts(contrast)}\n\n"
        "Is this comparison true to both texts and free of contradictions, and does it tell them apart clearly?\n"
        "Good comparison:"
    )


def render_verdict(task: JudgeTask, pair: PreferencePair, table: Table = ()) -> str:
    """Returns the prompt that asks which text is better; the answer is one of ``TEXT_OPTIONS``.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
      table: contrasts by aspects that are shown with the texts; () for none.
    """
    columns = "".join(f"Aspect: {aspect}\n{_render_parts(contrast)}\n\n" for aspect, contrast in table)
    notes = f"\nA comparison of A and B by aspects:\n\n{columns}" if table else "\n"
    return f"{_render_pair(task, pair)}\n{notes}Answer with A or B.\nAnswer:"


def render_reasoning(task: JudgeTask, pair: PreferencePair) -> str:
    """Returns the prompt that asks for a chain of thought that ends in a verdict.

    :func:`~jaxalign.prompting.parse_verdict` reads the answer.

    Args:
      task: the question, and what the texts are called.
      pair: two texts, the first of which is shown as A, and their prompt.
    """
    return (
        f"{_render_pair(task, pair)}\nThink step by step. End with a line that says "
        '"Answer: A", "Answer: B" or "Answer: tie".\n\nThoughts:\n'
    )


_CONTRAST = (
    'Compare A and B in short statements, each on a line of its own that begins with "- ", under three headings: '
    '"Only A:" for what holds for A and not for B, "Only B:" for what holds for B and not for A, and "Both:" for what '
    'holds for both. Write "- none" where there is nothing to say.'
)


def _render_pair(task: JudgeTask, pair: PreferencePair) -> str:
    return f"{render_comparison(pair.prompt, pair.first, pair.second, task.kind)}\n\n{QUESTION} {task.question}"


def _render_parts(contrast: Contrast) -> str:
    parts = zip(("Only A", "Only B", "Both"), contrast, strict=True)
    return "\n".join(f"{name}:\n{_render_list(statements)}" for name, statements in parts)


def _render_list(statements: Sequence[str]) -> str:
    return "\n".join(f"- {statement}" for statement in statements or ("none",))
