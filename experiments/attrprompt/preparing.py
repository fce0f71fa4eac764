"""The stages before documents: what a task lacks is asked for, kept as a file, and can be edited before the next one.

dimensions   attributes, where the task has none: a person then chooses among them
similar      the classes that are easily confused with each class
values       values of each attribute
filtered     class-dependent values that fit similar classes taken out (CAF); for several labels, near ones merged
instructions what MetaPrompt asks with
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.attrprompt.storage import INSTRUCTIONS, Made, Stage, Store
from jaxalign import attributes
from jaxalign.attributes import ClassAttribute, SharedAttribute, Task
from jaxalign.typing import GenerateFn


class Asked(NamedTuple):
    """How much the stages ask for; the paper's numbers."""

    similar: int = 5  # classes that are easily confused with a class
    values: int = 10  # of each attribute
    votes: int = 1  # answers to each question about a value
    seed: int = 0


class Prepared(NamedTuple):
    """A task with all its values, by stage, and what each stage took."""

    stages: Mapping[str, Stage]

    @property
    def unfiltered(self) -> Task:
        """The task with all values."""
        return self.stages["values"].task

    @property
    def task(self) -> Task:
        """The task whose ambiguous values are taken out."""
        return self.stages["filtered"].task


class PauseError(Exception):
    """A person is to look at a stage's file before the run goes on."""


def prepare(store: Store, task: Task, asked: Asked, *, until: str = "") -> Prepared:
    """Makes or finds all stages of a task.

    Args:
      store: where they are kept.
      task: what the run was given.
      asked: how much is asked for.
      until: the stage after which the run is to end; "" for none.

    Raises:
      PauseError: this was that stage, or the task has no attributes and a model proposed some.
    """
    stages: dict[str, Stage] = {}
    if not task.attributes:
        stage = stages["dimensions"] = store.stage("dimensions", task, lambda generate: _propose(generate, task, asked))
        if stage.new:
            raise PauseError(
                f"the task has no attributes; {stage.notes[0]}. Choose among them in dimensions.toml: set kind to "
                '"class" where values depend on the class, remove others. Then the same command goes on'
            )
    for name, make in {"similar": _find_similar, "values": _find_values, "filtered": _filter}.items():
        before, after = (stages[last].task, last) if (last := next(reversed(stages), "")) else (task, "")
        # Bound now: what a stage is made from is that of this round.
        make = functools.partial(make, task=before, asked=asked)
        stages[name] = store.stage(name, before, make, after=after)
        if name == until:
            raise PauseError(f"{name}.toml is there; edit it if you like, and go on with another --until or none")
    return Prepared(stages)


def _propose(generate: GenerateFn, task: Task, asked: Asked) -> Made:
    found = attributes.propose_dimensions(generate, task, seed=asked.seed)
    if not found.names:
        raise ValueError(f"expected a list of attributes, got {found.text!r}; write attributes into the task yourself")
    proposed = tuple(SharedAttribute(name.casefold().replace(" ", "_"), name) for name in found.names)
    return Made(dataclasses.replace(task, attributes=proposed), [f"the model proposed {', '.join(found.names)}"])


def _find_similar(generate: GenerateFn, task: Task, asked: Asked) -> Made:
    found = attributes.find_similar_classes(generate, task, count=asked.similar, seed=asked.seed)
    notes = [f"{label}: {count} similar classes instead of {asked.similar}" for label, count in found.short.items()]
    notes += [f"{label}: no other class is called {', '.join(names)}" for label, names in found.unknown.items()]
    return Made(found.task, notes)


def _find_values(generate: GenerateFn, task: Task, asked: Asked) -> Made:
    notes = []
    for attribute in task.attributes:
        found = attributes.propose_values(generate, task, attribute, count=asked.values, seed=asked.seed)
        task = task.with_attribute(found.attribute)
        notes += [
            f"{attribute.phrase}{f' of {label}' if label else ''}: {count} values instead of {asked.values}"
            for label, count in found.short.items()
        ]
    return Made(task, notes)


def _filter(generate: GenerateFn, task: Task, asked: Asked) -> Made:
    if task.labels_from:
        merged = attributes.merge_values(task.attribute(task.labels_from))
        notes = [f"{', '.join(each.variants)}: one value of {', '.join(each.labels)}" for each in merged.merged]
        return Made(task.with_attribute(merged.attribute), notes)
    notes = []
    for attribute in task.attributes:
        if isinstance(attribute, ClassAttribute):
            found = attributes.filter_values(generate, task, attribute, votes=asked.votes, seed=asked.seed)
            task = task.with_attribute(found.attribute)
            notes += _told(attribute, found.report)
    return Made(task, notes)


def _told(attribute: ClassAttribute, report: attributes.FilterReport) -> list[str]:
    parts = {
        "dropped, since similar classes have it too": report.dropped,
        "kept, although similar classes have it too, since enough were dropped": report.spared,
        "kept, since no answer about it could be read": report.unread,
    }
    return [
        f"{attribute.phrase} of {label}, {said}: {', '.join(values)}"
        for said, by_label in parts.items()
        for label, values in by_label.items()
    ]


def instruct(store: Store, task: Task, asked: Asked) -> tuple[Mapping[str, str], Stage]:
    """Returns the instruction of MetaPrompt for each class, and the stage that keeps them.

    They are kept as a task whose one attribute has them, a value for each class.

    Raises:
      ValueError: the model wrote none for a class.
    """

    def make(generate: GenerateFn) -> Made:
        found = attributes.write_instructions(generate, task, seed=asked.seed)
        if found.missing:
            raise ValueError(f"the model wrote no instruction for {', '.join(found.missing)}; leave MetaPrompt out")
        lines = {label: (" ".join(text.split()),) for label, text in found.by_label.items()}
        return Made(dataclasses.replace(task, attributes=(ClassAttribute(INSTRUCTIONS, "instruction", lines),)))

    stage = store.stage(INSTRUCTIONS, task, make)
    return {label: values[0] for label, values in stage.task.attribute(INSTRUCTIONS).values.items()}, stage


def stage_settings(asked: Asked, **more: Any) -> dict[str, Any]:
    """Returns what a stage's file is kept under, as JSON."""
    return {**asked._asdict(), **more}


def task_without_values(task: Task) -> Task:
    """Returns a task's classes alone, for methods that know no attributes."""
    return dataclasses.replace(task, attributes=(), similar={}, labels_from="")


def told_stages(stages: Sequence[Stage]) -> list[str]:
    """Returns all notes of some stages."""
    return [note for stage in stages for note in stage.notes]
