"""Which condition of the paper a run meets, and how many updates each row gets: what a reader must know first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.hemenet import methods
from experiments.hemenet.labels import LABELLED

if TYPE_CHECKING:
    from experiments.hemenet.__main__ import Config

SHARING = {"motif", "family"}
"""Tasks of made proteins that share what there is to learn."""


def describe_world(config: "Config") -> str:
    """Returns a sentence on the condition of the paper's first claim: related tasks whose labels are missing."""
    if config.task == "files":
        return "Real structures: whether tasks are related, and how many labels are missing, is as the folder has it."
    known = ", ".join(f"{name} {LABELLED[name]:.0%}" for name in config.tasks if name in LABELLED)
    labels = f"labels known in training: {known}." if known else "all labels are known."
    if set(config.tasks) >= SHARING:
        return f"The paper's condition is met: family is a function of motif, and labels are missing; {labels}"
    return f"The paper's condition is not met: tasks share nothing, so nothing is to be gained from sharing; {labels}"


def describe_updates(config: "Config", num_tasks: int) -> Sequence[str]:
    """Returns a line for each row that learns: its networks, and the updates of each, in all, and that a task had."""
    lines = []
    for name in config.methods:
        method = methods.METHODS[name]
        networks, of_each = methods.updates(config, method, num_tasks)
        whose = "networks" if networks > 1 else "network"
        where = ", on proteins with labels of the task" if method.one_task_each else ""
        lines.append(f"{name}: {networks} {whose}, {networks * of_each} updates in all, {of_each} a task{where}")
    return lines
