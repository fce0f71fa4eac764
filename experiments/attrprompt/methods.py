"""The ways to ask for documents, at as many documents of a class and at as many tokens as AttrPrompt takes."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt.preparing import Asked, Prepared, instruct, prepare, task_without_values
from experiments.attrprompt.storage import Row, Stage, Store
from jaxalign import attributes
from jaxalign.attributes import Assignment, DocumentRequest, Task
from jaxalign.io.llm import Usage

ATTRPROMPT, UNFILTERED, SHUFFLED = "AttrPrompt", "AttrPrompt without CAF", "AttrPrompt shuffled"
SIMPROMPT, METAPROMPT = "SimPrompt", "MetaPrompt"
_ROUNDS = 1_000_000  # more than any run has
RequestsFn = Callable[[int], Sequence[DocumentRequest]]
"""``requests(count)``: those of so many documents of a class, of which a smaller count has the first ones."""


class Written(NamedTuple):
    """What a method wrote: its rows in rounds of one document of each class, and the stages that it paid first."""

    task: Task  # that documents were asked for with
    rows: Sequence[Row]
    stages: Sequence[Stage]

    @property
    def prepared(self) -> Usage:
        """What was asked for before the first document."""
        return functools.reduce(Usage.plus, (stage.asked for stage in self.stages), Usage())

    @property
    def prepared_cost(self) -> float | None:
        """US dollars of what was asked for before the first document; None if nobody knows."""
        costs = [stage.cost for stage in self.stages]
        return None if None in costs else sum(costs)


class Plan(NamedTuple):
    """What a method asks for."""

    task: Task
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
    plan = _PLANS[ATTRPROMPT](store, prepared, asked, sizes.seed)
    first = Written(plan.task, store.documents(ATTRPROMPT, plan.requests(sizes.documents)), plan.stages)
    written, tokens = {ATTRPROMPT: first}, total_tokens(first)
    for method in methods:
        if method != ATTRPROMPT:
            plan = _PLANS[method](store, prepared, asked, sizes.seed)
            least = sizes.simple if method == SIMPROMPT else 0
            written[method] = _go_on(store, method, plan, sizes.documents, least, tokens)
    return written


def _go_on(store: Store, method: str, plan: Plan, count: int, least: int, tokens: int) -> Written:
    """Asks for ``count`` documents of a class, then for as many as ``tokens`` pay, and for ``least`` at least.

    How many these are is known once the first ones are there, and they are more once those that failed were asked for
    again. So they come in parts; a part that was begun keeps its requests.
    """
    written = Written(plan.task, store.documents(method, plan.requests(count)), plan.stages)
    classes, part, number = len(plan.task.classes), "-more", 1
    while rounds := store.begun(method, part) // classes or _lacking(written, classes, least, tokens):
        done = len(written.rows)
        more = store.documents(method, plan.requests(done // classes + rounds)[done:], part=part)
        written = written._replace(rows=[*written.rows, *more])
        number += 1
        part = f"-more-{number}"
    return written


def _lacking(written: Written, classes: int, least: int, tokens: int) -> int:
    """How many documents of a class are still to come, if they take as many tokens as those before them."""
    done = len(written.rows) // classes
    mean = sum(row.tokens for row in written.rows) / done
    return max(round((tokens - total_tokens(written)) / max(mean, 1)), least - done, 0)


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


def _attributed(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    return Plan(prepared.task, functools.partial(_sampled, prepared.task, seed), list(prepared.stages.values()))


def _unfiltered(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    stages = [stage for name, stage in prepared.stages.items() if name != "filtered"]
    return Plan(prepared.unfiltered, functools.partial(_sampled, prepared.unfiltered, seed), stages)


def _shuffled(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    task, classes = prepared.task, len(prepared.task.classes)

    def requests(count: int) -> Sequence[DocumentRequest]:
        drawn = attributes.sample_assignments(task, count, seed=seed)
        rounds = (drawn[start : start + classes] for start in range(0, len(drawn), classes))
        # Round by round, so that more documents leave the first ones as they are.
        shuffled = [
            attributes.shuffle_values(task, each, seed=_ROUNDS * seed + number) for number, each in enumerate(rounds)
        ]
        return attributes.make_requests(task, list(itertools.chain.from_iterable(shuffled)))

    return Plan(task, requests, list(prepared.stages.values()))


def _simple(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    task = task_without_values(prepared.task)
    return Plan(task, functools.partial(_plain, task, attributes.render_simple_document), ())


def _instructed(store: Store, prepared: Prepared, asked: Asked, seed: int) -> Plan:
    task = task_without_values(prepared.task)
    instructions, stage = instruct(store, task, asked)
    return Plan(task, functools.partial(_plain, task, functools.partial(_render_instructed, instructions)), [stage])


def _sampled(task: Task, seed: int, count: int) -> Sequence[DocumentRequest]:
    return attributes.make_requests(task, attributes.sample_assignments(task, count, seed=seed))


def _plain(task: Task, render: Callable, count: int) -> Sequence[DocumentRequest]:
    return attributes.make_requests(task, attributes.plain_assignments(task, count), render)


def _render_instructed(instructions: Mapping[str, str], task: Task, assignment: Assignment) -> str:
    return attributes.render_instructed_document(task, assignment, instructions[assignment.label])


_PLANS: Mapping[str, Callable[[Store, Prepared, Asked, int], Plan]] = {
    ATTRPROMPT: _attributed,
    UNFILTERED: _unfiltered,
    SHUFFLED: _shuffled,
    METAPROMPT: _instructed,
    SIMPROMPT: _simple,
}
METHODS = tuple(_PLANS)
