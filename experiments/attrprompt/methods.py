"""The ways to ask for documents, at as many documents of a class and at as many tokens as AttrPrompt takes."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt.preparing import Asked, Prepared, instruct, prepare, task_without_values
from experiments.attrprompt.storage import Row, Stage, Store
from jaxalign import attributes
from jaxalign.attributes import DocumentRequest, Task
from jaxalign.io.llm import Usage

ATTRPROMPT, UNFILTERED, SHUFFLED = "AttrPrompt", "AttrPrompt without CAF", "AttrPrompt shuffled"
SIMPROMPT, METAPROMPT = "SimPrompt", "MetaPrompt"
RequestsFn = Callable[[int], Sequence[DocumentRequest]]
"""``requests(count)``: those of so many documents of a class, of which a smaller count has the first ones."""


class Written(NamedTuple):
    """What a method wrote: its rows in rounds of one document of each class, and the stages that it paid first."""

    rows: Sequence[Row]
    stages: Sequence[Stage]

    @property
    def prepared(self) -> Usage:
        """What was asked for before the first document."""
        return functools.reduce(Usage.plus, (stage.asked for stage in self.stages), Usage())


class Plan(NamedTuple):
    """What a method asks for."""

    requests: RequestsFn
    stages: Sequence[Stage]


class Sizes(NamedTuple):
    """How many documents of a class there are to be."""

    documents: int  # of every method
    simple: int = 0  # of SimPrompt in all, if that is more than the tokens of AttrPrompt give it
    seed: int = 0  # of the assignments


def write_all(
    store: Store, task: Task, methods: Sequence[str], asked: Asked, sizes: Sizes, *, until: str = ""
) -> dict[str, Written]:
    """Returns what every method wrote: AttrPrompt so many documents, the others as many and on to as many tokens.

    Raises:
      PauseError: the run is to end after a stage, or a person is to choose attributes.
    """
    prepared = prepare(store, task, asked, until=until)
    classes = len(task.classes)
    first = _plan(ATTRPROMPT, store, prepared, asked, sizes.seed)
    written = {ATTRPROMPT: Written(store.documents(ATTRPROMPT, first.requests(sizes.documents)), first.stages)}
    tokens = total_tokens(written[ATTRPROMPT])
    for method in methods:
        if method == ATTRPROMPT:
            continue
        plan = _plan(method, store, prepared, asked, sizes.seed)
        rows = store.documents(method, plan.requests(sizes.documents))
        count = _rounds(tokens, Written(rows, plan.stages), classes)
        count = max(count, sizes.documents, sizes.simple if method == SIMPROMPT else 0)
        more = plan.requests(count)[len(rows) :]
        if more:
            rows = [*rows, *store.documents(method, more, part="-more")]
        written[method] = Written(rows, plan.stages)
    return written


def total_tokens(written: Written) -> int:
    """Returns the tokens of all that a method asked for, its stages included."""
    return written.prepared.tokens + sum(row.tokens for row in written.rows)


def within(written: Written, tokens: int) -> list[Row]:
    """Returns the first rows of a method that fit into so many tokens, its stages paid first."""
    left, kept = tokens - written.prepared.tokens, []
    for row in written.rows:
        left -= row.tokens
        if left < 0:
            break
        kept.append(row)
    return kept


def _rounds(tokens: int, written: Written, classes: int) -> int:
    """How many documents of a class fit into so many tokens, if later ones take as many as the first ones did."""
    mean = sum(row.tokens for row in written.rows) / len(written.rows)
    return math.ceil((tokens - written.prepared.tokens) / mean / classes)


def _plan(method: str, store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    return _PLANS[method](store, prepared, asked, seed)


def _attributed(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    return Plan(functools.partial(_sampled, prepared.task, seed), list(prepared.stages.values()))


def _unfiltered(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    stages = [stage for name, stage in prepared.stages.items() if name != "filtered"]
    return Plan(functools.partial(_sampled, prepared.unfiltered, seed), stages)


def _shuffled(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    def requests(count: int) -> Sequence[DocumentRequest]:
        drawn = attributes.sample_assignments(prepared.task, count, seed=seed)
        return attributes.make_requests(prepared.task, attributes.shuffle_values(prepared.task, drawn, seed=seed))

    return Plan(requests, list(prepared.stages.values()))


def _simple(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    task = task_without_values(prepared.task)
    return Plan(functools.partial(_plain, task, attributes.render_simple_document), ())


def _instructed(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    task = task_without_values(prepared.task)
    instructions, stage = instruct(store, task, asked)
    return Plan(functools.partial(_plain, task, functools.partial(_render_instructed, instructions)), [stage])


def _sampled(task: Task, seed: int, count: int) -> Sequence[DocumentRequest]:
    return attributes.make_requests(task, attributes.sample_assignments(task, count, seed=seed))


def _plain(task: Task, render: Callable, count: int) -> Sequence[DocumentRequest]:
    return attributes.make_requests(task, attributes.plain_assignments(task, count), render)


def _render_instructed(instructions: Mapping[str, str], task: Task, assignment: attributes.Assignment) -> str:
    return attributes.render_instructed_document(task, assignment, instructions[assignment.label])


_PLANS: Mapping[str, Callable[[Store, Prepared, Asked, int], Plan]] = {
    ATTRPROMPT: _attributed,
    UNFILTERED: _unfiltered,
    SHUFFLED: _shuffled,
    METAPROMPT: _instructed,
    SIMPROMPT: _simple,
}
METHODS = tuple(_PLANS)
