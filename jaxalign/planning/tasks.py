"""The four tasks that a mixture is made of: from what a user gives to an article, a plan, or both.

Every formatter has one signature and gives a record for supervised fine-tuning: the prompt is made of ``x`` alone (and
in T3 of the plan), the response is what is learnt.

====  ==============  ================================================
T1    x -> y          :func:`article_task`
T2    x -> I          :func:`plan_task`, which the paper does not have
T3    x + I -> y      :func:`continuation_task`
T4    x -> I + y      :func:`planned_article_task`
====  ==============  ================================================

Source: arXiv 2410.06203. The wording is ours; the paper's was not at hand.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jaxalign.data import PreferenceRecord
from jaxalign.planning.grammar import check_parts, render_article, render_plan
from jaxalign.planning.records import PARTS, PlannedArticle

_FORM = (
    'with a line "# Title" before each section, and nothing else in it. Write <article> before it and </article> after.'
)
_STEPS = MappingProxyType(
    {
        "summary": "a summary of the article",
        "outline": 'its outline, a line "# Title" for each section',
        "key_information": "the key information that it will have, a line that begins with a dash for each piece",
    }
)


class Wording(NamedTuple):
    """What the prompts say: templates with ``{x}``, and ``{parts}`` or ``{plan}`` where these are.

    Attributes:
      article: asks for the article at once.
      plan: asks for a plan alone; ``{parts}`` are the steps in words.
      continuation: asks for the article that follows a plan, which stands in it as ``{plan}``.
      planned_article: asks for a plan and then the article.
      steps: each step in words, by its name.
    """

    article: str = f"Write a long article about the subject below, {_FORM}\n\nSubject: {{x}}\n"
    plan: str = (
        "Plan a long article about the subject below. Write {parts}. Put each step between its marks, as in "
        "<summary> and </summary>.\n\nSubject: {x}\n"
    )
    continuation: str = (
        f"Write a long article about the subject below, {_FORM} Keep to the plan.\n\nSubject: {{x}}\n\n{{plan}}"
    )
    planned_article: str = (
        "Plan a long article about the subject below, and then write it. For the plan, write {parts}. Put each step "
        f"between its marks, as in <summary> and </summary>. Then write the article, {_FORM}\n\nSubject: {{x}}\n"
    )
    steps: Mapping[str, str] = _STEPS

    def ask_article(self, x: str) -> str:
        """Returns the prompt of T1."""
        return self.article.format(x=x)

    def ask_plan(self, x: str, parts: Sequence[str]) -> str:
        """Returns the prompt of T2."""
        return self.plan.format(x=x, parts=self._named(parts))

    def ask_continuation(self, x: str, plan: str) -> str:
        """Returns the prompt of T3; ``plan`` is what :func:`~jaxalign.planning.render_plan` gives, or a model wrote."""
        return self.continuation.format(x=x, plan=plan)

    def ask_planned_article(self, x: str, parts: Sequence[str]) -> str:
        """Returns the prompt of T4."""
        return self.planned_article.format(x=x, parts=self._named(parts))

    def _named(self, parts: Sequence[str]) -> str:
        check_parts(parts)
        return "; then ".join(self.steps[part] for part in parts)


WORDING = Wording()
"""Prompts for language models that follow instructions."""

Formatter = Callable[..., PreferenceRecord]
"""``formatter(record, *, parts=PARTS, wording=WORDING)``: what is learnt of a planned article."""


def article_task(
    record: PlannedArticle, *, parts: Sequence[str] = PARTS, wording: Wording = WORDING
) -> PreferenceRecord:
    """T1, x -> y: the article at once.

    Args:
      record: an article.
      parts: not used; all formatters have one signature.
      wording: of the prompt.
    """
    return _learn(record, wording.ask_article(record.x), render_article(record))


def plan_task(record: PlannedArticle, *, parts: Sequence[str] = PARTS, wording: Wording = WORDING) -> PreferenceRecord:
    """T2, x -> I: the plan alone, the first of several turns.

    Args:
      record: an article with its steps.
      parts: which steps, in which order.
      wording: of the prompt.
    """
    return _learn(record, wording.ask_plan(record.x, parts), render_plan(record, parts).rstrip("\n"))


def continuation_task(
    record: PlannedArticle, *, parts: Sequence[str] = PARTS, wording: Wording = WORDING
) -> PreferenceRecord:
    """T3, x + I -> y: the article that follows a plan, the last of several turns.

    Args:
      record: an article with its steps.
      parts: which steps, in which order.
      wording: of the prompt.
    """
    return _learn(record, wording.ask_continuation(record.x, render_plan(record, parts)), render_article(record))


def planned_article_task(
    record: PlannedArticle, *, parts: Sequence[str] = PARTS, wording: Wording = WORDING
) -> PreferenceRecord:
    """T4, x -> I + y: the plan and then the article, in one turn.

    Args:
      record: an article with its steps.
      parts: which steps, in which order.
      wording: of the prompt.
    """
    response = render_plan(record, parts) + render_article(record)
    return _learn(record, wording.ask_planned_article(record.x, parts), response)


FORMATTERS: Mapping[str, Formatter] = MappingProxyType(
    {"T1": article_task, "T2": plan_task, "T3": continuation_task, "T4": planned_article_task}
)


def _learn(record: PlannedArticle, prompt: str, response: str) -> PreferenceRecord:
    return PreferenceRecord(prompt, (response,), (1.0,), id=record.id)
