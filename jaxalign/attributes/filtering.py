"""Class-dependent attribute value filtering (CAF): values that fit similar classes as well are taken out."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jaxalign.attributes import prompts
from jaxalign.attributes.parsing import parse_yes_no
from jaxalign.attributes.task import OTHER, ClassAttribute, Task
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.typing import GenerateFn

Values = Mapping[str, tuple[str, ...]]


class FilterReport(NamedTuple):
    """What was asked about the values of one attribute, and what became of them.

    Attributes:
      asked: how many values were asked about.
      dropped: for each label the values that were taken out, since they belong to a similar class.
      spared: for each label the values that belong to a similar class and were kept, since enough were dropped before.
      unread: for each label the values that were kept, since no answer about them could be read, or votes are tied.
      unread_answers: how many answers could not be read, of ``asked`` times the votes.
    """

    asked: int
    dropped: Values
    spared: Values
    unread: Values
    unread_answers: int


class Filtered(NamedTuple):
    """An attribute after filtering, and what was done.

    Attributes:
      attribute: without the dropped values, and with ``"other"`` at the end of each list.
      report: counts and names of what was asked, dropped and unread.
    """

    attribute: ClassAttribute
    report: FilterReport


def filter_values(
    generate: GenerateFn,
    task: Task,
    attribute: ClassAttribute,
    *,
    most_drops: int = 5,
    votes: int = 1,
    temperature: float = 0.7,
    max_tokens: int = 128,
    seed: int = 0,
) -> Filtered:
    """Asks of each value whether it belongs to any of the similar classes, and takes out those that do.

    All questions are asked in one call. Values of a class without similar classes, and of an attribute whose
    ``filtered`` is False, are not asked about. Every list gets ``"other"``. A value about which nothing can be read is
    kept, and named in the report.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the classes, and which of them are similar.
      attribute: the values to filter.
      most_drops: the most values to take out of one class, the first ones in their order; at least 0.
      votes: answers to each question; a value belongs if more of them say yes than no. The paper has 1.
      temperature: of the answers.
      max_tokens: the longest answer, at least 1.
      seed: of the answers.

    Raises:
      ValueError: ``votes`` or ``max_tokens`` is below 1, ``most_drops`` or the temperature below 0.

    Source: AttrPrompt (arXiv 2306.15895): at most 5 values a class, temperature 0.7, 128 tokens.
    """
    check_counts(votes=votes, max_tokens=max_tokens)
    check_temperature(temperature)
    if most_drops < 0:
        raise ValueError(f"most_drops: expected at least 0, got {most_drops}; 0 drops nothing")
    asked = list(_questions(task, attribute))
    rendered = [prompts.render_filter(task, attribute, label, value) for label, value in asked]
    options = {"n": votes, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    texts = generate(rendered, **options) if rendered else []
    answers = [[parse_yes_no(text) for text in each] for each in texts]
    belongs = {question: _majority(each) for question, each in zip(asked, answers, strict=True)}
    positive = _named(belongs, True)
    dropped = {label: values[:most_drops] for label, values in positive.items() if most_drops}
    report = FilterReport(
        asked=len(asked),
        dropped=dropped,
        spared={label: values[most_drops:] for label, values in positive.items() if values[most_drops:]},
        unread=_named(belongs, None),
        unread_answers=sum(votes - sum(answer is not None for answer in each) for each in answers),
    )
    kept = {
        label: (*(value for value in values if value not in (*dropped.get(label, ()), OTHER)), OTHER)
        for label, values in attribute.values.items()
    }
    return Filtered(dataclasses.replace(attribute, values=kept), report)


def ambiguous_values(attribute: ClassAttribute) -> Values:
    """Returns the values that stand under two classes or more, each with its labels; case and blanks do not count.

    Args:
      attribute: the values of each class; ``"other"`` is not ambiguous.

    >>> ambiguous_values(ClassAttribute("brand", "brand", {"cars": ("Bosch", "Audi"), "tools": ("BOSCH",)}))
    {'Bosch': ('cars', 'tools')}
    """
    shown: dict[str, str] = {}
    labels: dict[str, dict[str, None]] = {}
    for label, values in attribute.values.items():
        for value in values:
            key = " ".join(value.casefold().split())
            shown.setdefault(key, value)
            labels.setdefault(key, {})[label] = None
    return {shown[key]: tuple(each) for key, each in labels.items() if len(each) > 1 and key != OTHER}


def _questions(task: Task, attribute: ClassAttribute) -> Iterator[tuple[str, str]]:
    if attribute.filtered:
        for label, values in attribute.values.items():
            if task.similar.get(label):
                yield from ((label, value) for value in values if value != OTHER)


def _majority(answers: list[bool | None]) -> bool | None:
    yes, no = answers.count(True), answers.count(False)
    return None if yes == no else yes > no


def _named(belongs: Mapping[tuple[str, str], bool | None], verdict: bool | None) -> dict[str, tuple[str, ...]]:
    """The values of one verdict by their label."""
    values: dict[str, tuple[str, ...]] = {}
    for (label, value), each in belongs.items():
        if each is verdict:
            values[label] = (*values.get(label, ()), value)
    return values
