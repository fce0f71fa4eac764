"""The prompts of attributed generation and of what it is measured against: pure text.

Classes and attributes stand in prompts under their readable names. What a value says stands unquoted, since values hold
quotes of their own: behind a colon, at the end of a line.

The wording is ours; what each prompt asks for is the paper's.
"""

import hashlib
from collections.abc import Iterable, Sequence

from jaxalign.attributes.sampling import Assignment, labels_of
from jaxalign.attributes.task import LENGTH, OTHER, ClassAttribute, SharedAttribute, Task

_EACH_LINE = 'on a line of its own that begins with "- "'
_ALONE = "Answer with the text alone"


def render_dimensions(task: Task, count: int) -> str:
    """Returns the prompt that asks in what documents of one class can vary, as a list.

    Args:
      task: the kind of document and the classes.
      count: how many attributes to ask for.
    """
    return (
        f"A collection of texts, each a {task.document}, is to be written for these classes:\n"
        f"{_bullets(task.classes.values())}\n\n"
        f"In which {count} attributes should texts of one class differ, so that they are as varied as real ones? "
        f"Write each attribute in one to three words {_EACH_LINE}."
    )


def render_similar_classes(task: Task, label: str, count: int) -> str:
    """Returns the prompt that asks which other classes are most easily confused with one, as a list.

    Args:
      task: the kind of document and the classes.
      label: the class.
      count: how many classes to ask for.
    """
    others = (name for each, name in task.classes.items() if each != label)
    return (
        f"Which {count} of these classes are the most similar to the class {_quoted(task.classes[label])}, so that a "
        f"{task.document} of one might be taken for one of the other?\n{_bullets(others)}\n\n"
        f"Copy each name from the list {_EACH_LINE}, the most similar first."
    )


def render_shared_values(task: Task, attribute: SharedAttribute, count: int) -> str:
    """Returns the prompt that asks for values of an attribute that does not depend on the class, as a list.

    Args:
      task: the kind of document.
      attribute: what to ask for values of.
      count: how many values to ask for.
    """
    return (
        f"Name {count} different values of the attribute {_quoted(attribute.phrase)} for texts, each a "
        f"{task.document}. Write each value {_EACH_LINE}."
    )


def render_class_values(task: Task, attribute: ClassAttribute, label: str, count: int) -> str:
    """Returns the prompt that asks for values of an attribute for one class, as a list.

    It names the similar classes, which the values should have nothing to do with.

    Args:
      task: the kind of document, the classes, and which of them are similar.
      attribute: what to ask for values of.
      label: the class.
      count: how many values to ask for.
    """
    similar = _similar(task, (label,))
    avoided = f" Name none that also fits {_the_classes(task, similar)}." if similar else ""
    return (
        f"Name {count} different values of the attribute {_quoted(attribute.phrase)} for texts, each a "
        f"{task.document}, of the class {_quoted(task.classes[label])}.{avoided} Write each value {_EACH_LINE}."
    )


def render_filter(task: Task, attribute: ClassAttribute, label: str, value: str) -> str:
    """Returns the question of class-dependent attribute value filtering (CAF), which is answered with Yes or No.

    One question names all similar classes at once: does the value belong to any of them?

    Args:
      task: the classes, and which of them are similar.
      attribute: whose value it is.
      label: the class under which the value stands.
      value: the value to ask about.

    Raises:
      ValueError: the class has no similar classes.

    Source: AttrPrompt (arXiv 2306.15895), class-dependent attribute value filtering.
    """
    similar = _similar(task, (label,))
    if not similar:
        raise ValueError(f"expected a class with similar classes, got {label!r}; there is nothing to ask")
    return (
        f"Classes of texts, each a {task.document}:\n{_bullets(task.classes[each] for each in similar)}\n\n"
        f"{_capital(attribute.phrase)}: {value}\n\n"
        f"Does this {attribute.phrase} belong to at least one of these classes? Answer with Yes or No."
    )


def render_document(task: Task, assignment: Assignment) -> str:
    """Returns the request of AttrPrompt for one document: numbered requirements, one attribute each.

    The last one asks for relevance to the class, and irrelevance to its similar classes; a class without similar ones
    has none.

    Args:
      task: the kind of document, the classes and the attributes.
      assignment: the class, and the value of each attribute.

    Raises:
      ValueError: the assignment has a value of an attribute that the task does not have.

    Source: AttrPrompt (arXiv 2306.15895), with lengths as ranges.
    """
    labels = labels_of(task, assignment)
    classes = _the_classes(task, labels)
    requirements = [_requirement(task, name, value) for name, value in assignment.values]
    if similar := _similar(task, labels):
        requirements.append(f"The text is relevant to {classes} and irrelevant to {_the_classes(task, similar)}.")
    if not requirements:
        return f"Write one {task.document} of {classes}. {_ALONE}."
    numbered = "\n".join(f"{number}. {each}" for number, each in enumerate(requirements, 1))
    return f"Write one {task.document} of {classes}. {_ALONE}, which meets these requirements:\n{numbered}"


def render_simple_document(task: Task, assignment: Assignment, example: str = "") -> str:
    """Returns the request of SimPrompt for one document: a writer, and the class alone.

    Args:
      task: the kind of document and the classes.
      assignment: the class; values are not read.
      example: a text of the class, to show what is wanted; "" for none.

    Source: SimPrompt, the baseline of AttrPrompt (arXiv 2306.15895).
    """
    wanted = f"Write one {task.document} of {_the_classes(task, (assignment.label,))}. {_ALONE}."
    shown = f"\n\nHere is an example; write another text:\n{example.strip()}" if example.strip() else ""
    return f"You are a writer, and each of your texts is a {task.document}. {wanted}{shown}"


def render_instruction(task: Task, label: str) -> str:
    """Returns the first prompt of MetaPrompt, which asks for an instruction to write documents of a class by.

    Args:
      task: the kind of document and the classes.
      label: the class.

    Source: MetaPrompt, a baseline of AttrPrompt (arXiv 2306.15895).
    """
    return (
        f"A language model will be asked many times for a {task.document} of {_the_classes(task, (label,))}. Write the "
        "instruction that it should get, so that its texts are varied, natural and clearly of this class. Answer with "
        "the instruction alone."
    )


def render_instructed_document(task: Task, assignment: Assignment, instruction: str) -> str:
    """Returns the second prompt of MetaPrompt: the instruction that a model wrote, and the request for one document.

    Args:
      task: the kind of document and the classes.
      assignment: the class; values are not read.
      instruction: what the model answered to :func:`render_instruction`.

    Raises:
      ValueError: the instruction is blank.

    Source: MetaPrompt, a baseline of AttrPrompt (arXiv 2306.15895).
    """
    if not instruction.strip():
        raise ValueError(f"expected the instruction for class {assignment.label!r}, got a blank text; ask for it again")
    wanted = f"Write one {task.document} of {_the_classes(task, (assignment.label,))}. {_ALONE}."
    return f"{instruction.strip()}\n\nFollow this instruction now. {wanted}"


def prompt_hash(prompt: str) -> str:
    """Returns the SHA-256 of a rendered prompt, as 64 hexadecimal digits, by which its document is traced.

    Args:
      prompt: the text that the model was asked.
    """
    return hashlib.sha256(prompt.encode()).hexdigest()


def _requirement(task: Task, name: str, value: str) -> str:
    if name == LENGTH:
        return f"The length is {value} words."
    phrase = task.attribute(name).phrase
    if value == OTHER:
        return f"The {phrase} is an unusual one, of your own choice, that fits the class."
    return f"The {phrase} is: {value}"


def _similar(task: Task, labels: Sequence[str]) -> tuple[str, ...]:
    """The classes that are similar to any of some, and none of these."""
    found = dict.fromkeys(other for label in labels for other in task.similar.get(label, ()))
    return tuple(label for label in found if label not in labels)


def _the_classes(task: Task, labels: Sequence[str]) -> str:
    names = [_quoted(task.classes[label]) for label in labels]
    if len(names) == 1:
        return f"the class {names[0]}"
    return f"the classes {', '.join(names[:-1])} and {names[-1]}"


def _quoted(name: str) -> str:
    """A name in quotes, of another form where it holds quotes itself."""
    return f"“{name}”" if '"' in name else f'"{name}"'


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
