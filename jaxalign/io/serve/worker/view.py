"""What decisions are made with: one value that never changes, made anew from the one before and what changed since."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxalign import serving
from jaxalign.io.serve.store.rows import Example, Vectors
from jaxalign.serving import ExampleFacts, ExampleTable, NewExamples, Policy, VectorIndex
from jaxalign.serving.inputs import power_of_two

PUT_AT_ONCE = 1024  # rows of an insert into a table that serves: more are several
LEAST_ROWS = 4096  # of a table: each time that it doubles, programs are compiled while it serves
NONE = -1  # the id of a free row

Row = tuple[Example, Vectors]


class Known(NamedTuple):
    """The place of an example."""

    row: int  # of the table
    partition: int
    replays: int  # of its response as it is in the table


class View(NamedTuple):
    """Examples with their indices, and the policy, as they were at one moment."""

    table: ExampleTable
    states: Mapping[int, Any]  # of the index, by partition; ids are rows of the table
    ids: Int[np.ndarray, "C"]  # the store's id of each row, -1 where it is free
    users: Int[np.ndarray, "C"]  # whose example it is
    policy: Policy
    version: str  # of the policy


class Clock(NamedTuple):
    """Time as tables have it: hours since the store was made, which float32 tells well."""

    born: float  # seconds since 1970

    def hours(self, seconds: float) -> float:
        """Returns hours.

        Args:
          seconds: since 1970.
        """
        return (seconds - self.born) / 3600

    def seconds(self, hours: float) -> float:
        """Returns seconds since 1970.

        Args:
          hours: as a table has them.
        """
        return self.born + 3600 * hours


def empty_view(index: VectorIndex, width: int, policy: Policy, version: str, *, rows: int = 0) -> View:
    """Returns a view without examples.

    Args:
      index: what finds examples.
      width: D, of the embeddings.
      policy: the policy in use.
      version: its name.
      rows: examples that it is to hold before its table grows.
    """
    table = serving.init_table(width, capacity=max(LEAST_ROWS, power_of_two(rows)))
    nobody = np.full(table.live.shape[0], NONE, np.int64)
    return View(table, {}, nobody, nobody, policy, version)


def put_examples(
    index: VectorIndex, view: View, known: Mapping[int, Known], rows: Sequence[Row], clock: Clock
) -> tuple[View, dict[int, Known]]:
    """Inserts examples, or brings those that are known up to date.

    Args:
      index: what finds examples.
      view: where they go; it stays as it is.
      known: where examples are.
      rows: examples with their vectors, each once.
      clock: of the table.

    Returns:
      The view with them, and where they are.
    """
    if new := [row for row in rows if row[0].id not in known]:
        view, placed = _insert(index, view, new, clock)
    else:
        placed = {}
    for example, _ in rows:
        if example.id in known:
            placed[example.id] = known[example.id]._replace(replays=example.replays)
    places = np.array([placed[example.id].row for example, _ in rows], np.int32)
    table = serving.update_facts(view.table, places, _facts([example for example, _ in rows], clock))
    answered = [row for row in rows if row[0].id in known and row[0].replays != known[row[0].id].replays]
    if answered:
        places = np.array([placed[example.id].row for example, _ in answered], np.int32)
        table = serving.replace_responses(table, places, np.stack([vectors.response for _, vectors in answered]))
    return view._replace(table=table), placed


def forget_places(index: VectorIndex, view: View, places: Iterable[Known]) -> View:
    """Deletes examples from the table and from the indices, so that nothing of them stays in the new view.

    Args:
      index: what finds examples.
      view: where they are; it stays as it is, so drop it.
      places: where they are.
    """
    places = list(places)
    if not places:
        return view
    rows = np.array([each.row for each in places], np.int32)
    ids, users, states = view.ids.copy(), view.users.copy(), dict(view.states)
    ids[rows], users[rows] = NONE, NONE
    for partition in {each.partition for each in places}:
        gone = [each.row for each in places if each.partition == partition]
        states[partition] = index.delete(states[partition], gone)
        if not len(index.contents(states[partition])[0]):
            del states[partition]
    table = serving.forget_examples(view.table, rows)
    return view._replace(table=table, states=states, ids=ids, users=users)


def size_of(example: Example) -> int:
    """Returns the bytes of an example's texts.

    Args:
      example: the example.
    """
    return len(example.request.encode(errors="replace")) + len(example.response.encode(errors="replace"))


def _insert(index: VectorIndex, view: View, rows: Sequence[Row], clock: Clock) -> tuple[View, dict[int, Known]]:
    examples = [example for example, _ in rows]
    requests = np.stack([vectors.request for _, vectors in rows]).astype(np.float32)
    new = NewExamples(
        partition=_column(examples, "partition", np.int32),
        user=_column(examples, "user", np.int32),
        size=np.array([size_of(each) for each in examples], np.float32),
        tokens=_column(examples, "tokens", np.int32),
        quality=_column(examples, "quality", np.float32),
        cost=_column(examples, "cost", np.float32),
        hours=np.array([clock.hours(each.updated) for each in examples], np.float32),
        requests=requests,
        responses=np.stack([vectors.response for _, vectors in rows]).astype(np.float32),
    )
    table, places = serving.insert_examples(view.table, new)
    spare = table.live.shape[0] - len(view.ids)
    ids, users = (np.pad(each, (0, spare), constant_values=NONE) for each in (view.ids, view.users))
    ids[places], users[places] = _column(examples, "id", np.int64), new.user
    states = dict(view.states)
    for partition in np.unique(new.partition).tolist():
        here = new.partition == partition
        states = serving.insert_in_partition(index, states, partition, places[here], requests[here])
    placed = {
        each.id: Known(int(place), each.partition, each.replays) for each, place in zip(examples, places, strict=True)
    }
    return view._replace(table=table, states=states, ids=ids, users=users), placed


def _facts(examples: Sequence[Example], clock: Clock) -> ExampleFacts:
    return ExampleFacts(
        size=np.array([size_of(each) for each in examples], np.float32),
        tokens=_column(examples, "tokens", np.int32),
        quality=_column(examples, "quality", np.float32),
        gain=_column(examples, "gain", np.float32),
        offloads=_column(examples, "offloads", np.float32),
        updated=np.array([clock.hours(each.updated) for each in examples], np.float32),
        replays=_column(examples, "replays", np.int32),
    )


def _column(examples: Sequence[Example], name: str, kind: type) -> np.ndarray:
    return np.array([getattr(each, name) for each in examples], kind)
