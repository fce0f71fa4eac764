"""The steps before documents, each around a language model: what a person then edits in the task's file.

Each step asks about everything in one call, keeps what a person has written already, and says where it came out short.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.attributes import prompts
from jaxalign.attributes.parsing import parse_classes
from jaxalign.attributes.task import Attribute, SharedAttribute, Task
from jaxalign.prompting import parse_document, parse_values
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.typing import GenerateFn


class Dimensions(NamedTuple):
    """Attributes that a model proposed, for a person to choose from.

    Attributes:
      names: the proposed attributes, distinct, in order; () if the answer is no list.
      text: the answer as the model wrote it.
    """

    names: tuple[str, ...]
    text: str


class SimilarClasses(NamedTuple):
    """A task with similar classes, and where they came out short.

    Attributes:
      task: the task with the similar classes of each class.
      short: how many were found, for each label with fewer than were asked for.
      unknown: for a label what the model named that is no other class.
    """

    task: Task
    short: Mapping[str, int]
    unknown: Mapping[str, tuple[str, ...]]


class ProposedValues(NamedTuple):
    """An attribute with values, and where they came out short.

    Attributes:
      attribute: the attribute with the values that it had, and new ones where it had none.
      short: how many were found, for each label with fewer than were asked for; ``""`` stands for a shared attribute.
    """

    attribute: Attribute
    short: Mapping[str, int]


class Instructions(NamedTuple):
    """The instructions of MetaPrompt.

    Attributes:
      by_label: the instruction of each class.
      missing: the labels for which the model wrote none.
    """

    by_label: Mapping[str, str]
    missing: tuple[str, ...]


def propose_dimensions(
    generate: GenerateFn, task: Task, *, count: int = 10, temperature: float = 0.7, max_tokens: int = 512, seed: int = 0
) -> Dimensions:
    """Asks in what documents of one class can vary; a person chooses and writes the attributes into the task.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the kind of document and the classes.
      count: how many attributes to ask for, at least 1.
      temperature: of the answer.
      max_tokens: the longest answer, at least 1.
      seed: of the answer.

    Raises:
      ValueError: ``count`` or ``max_tokens`` is below 1, or the temperature below 0.
    """
    check_counts(count=count)
    (text,) = _ask(generate, [prompts.render_dimensions(task, count)], temperature, max_tokens, seed)
    return Dimensions(parse_values(text)[:count], text)


def find_similar_classes(
    generate: GenerateFn, task: Task, *, count: int = 5, temperature: float = 0.7, max_tokens: int = 256, seed: int = 0
) -> SimilarClasses:
    """Asks which other classes are most easily confused with each class that has no similar ones yet.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the kind of document and the classes.
      count: how many classes to ask for, at least 1; a task with fewer other classes is asked for all of them.
      temperature: of the answers.
      max_tokens: the longest answer, at least 1.
      seed: of the answers.

    Raises:
      ValueError: ``count`` or ``max_tokens`` is below 1, or the temperature below 0.

    Source: AttrPrompt (arXiv 2306.15895): 5 similar classes.
    """
    check_counts(count=count)
    count = min(count, len(task.classes) - 1)
    labels = [label for label in task.classes if label not in task.similar]
    asked = [prompts.render_similar_classes(task, label, count) for label in labels]
    similar, short, unknown = dict(task.similar), {}, {}
    for label, text in zip(labels, _ask(generate, asked, temperature, max_tokens, seed), strict=True):
        found = parse_classes(text, task)
        others = tuple(each for each in found.labels if each != label)[:count]
        if others:
            similar[label] = others
        if len(others) < count:
            short[label] = len(others)
        if names := (*found.unknown, *(task.classes[each] for each in found.labels if each == label)):
            unknown[label] = names
    return SimilarClasses(dataclasses.replace(task, similar=similar), short, unknown)


def propose_values(
    generate: GenerateFn,
    task: Task,
    attribute: Attribute,
    *,
    count: int = 10,
    temperature: float = 0.7,
    max_tokens: int = 512,
    seed: int = 0,
) -> ProposedValues:
    """Asks for values of an attribute, once or for each class that has none yet.

    The request for a class names its similar classes, which the values should have nothing to do with.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the kind of document, the classes, and which of them are similar.
      attribute: what to ask for values of; lists that have values stay as they are.
      count: how many values to ask for, at least 1.
      temperature: of the answers.
      max_tokens: the longest answer, at least 1.
      seed: of the answers.

    Raises:
      ValueError: ``count`` or ``max_tokens`` is below 1, or the temperature below 0.

    Source: AttrPrompt (arXiv 2306.15895): 10 values.
    """
    check_counts(count=count)
    if isinstance(attribute, SharedAttribute):
        labels = [] if attribute.values else [""]
        asked = [prompts.render_shared_values(task, attribute, count) for _ in labels]
    else:
        labels = [label for label in task.classes if not attribute.values_of(label)]
        asked = [prompts.render_class_values(task, attribute, label, count) for label in labels]
    texts = _ask(generate, asked, temperature, max_tokens, seed)
    found = {label: parse_values(text)[:count] for label, text in zip(labels, texts, strict=True)}
    short = {label: len(values) for label, values in found.items() if len(values) < count}
    if isinstance(attribute, SharedAttribute):
        values = found.get("", attribute.values)
    else:
        values = {**attribute.values, **{label: each for label, each in found.items() if each}}
    return ProposedValues(dataclasses.replace(attribute, values=values), short)


def write_instructions(
    generate: GenerateFn, task: Task, *, temperature: float = 0.7, max_tokens: int = 512, seed: int = 0
) -> Instructions:
    """Asks for the instruction of each class by which MetaPrompt then asks for documents.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the kind of document and the classes.
      temperature: of the answers.
      max_tokens: the longest instruction, at least 1.
      seed: of the answers.

    Raises:
      ValueError: ``max_tokens`` is below 1, or the temperature below 0.

    Source: MetaPrompt, a baseline of AttrPrompt (arXiv 2306.15895).
    """
    asked = [prompts.render_instruction(task, label) for label in task.classes]
    texts = zip(task.classes, _ask(generate, asked, temperature, max_tokens, seed), strict=True)
    written = {label: instruction for label, text in texts if (instruction := parse_document(text).text)}
    return Instructions(written, tuple(label for label in task.classes if label not in written))


def _ask(generate: GenerateFn, asked: Sequence[str], temperature: float, max_tokens: int, seed: int) -> list[str]:
    """One text for each prompt, "" where there is no answer."""
    check_counts(max_tokens=max_tokens)
    check_temperature(temperature)
    if not asked:
        return []
    answers = generate(asked, temperature=temperature, max_tokens=max_tokens, seed=seed)
    return [texts[0] if texts else "" for _, texts in zip(asked, answers, strict=True)]
