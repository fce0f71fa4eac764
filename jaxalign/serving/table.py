"""The table of examples: what policies know of each, in arrays; the texts lie in the caller's store.

An example's id is its row, an int32 of 0 or more, and -1 is "none". Rows of forgotten examples are used again; where
none is free, the capacity doubles, so that a growing table needs few compiled programs. Times are hours since an epoch
of the caller's, recent enough for float32 (after 10 years of hours it tells half a minute).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxalign.serving import inputs

CAPACITY = 1024  # rows of a new table
NONE = -1  # stands for no example and, where a user is forgotten, for no user

Rows = Int[Array, "N"] | Int[np.ndarray, "N"]
Numbers = Float[Array, "N"] | Float[np.ndarray, "N"]
Vectors = Float[Array, "N D"] | Float[np.ndarray, "N D"]


class ExampleTable(NamedTuple):
    """C rows, those that are live with an example each; all fields of the others are 0."""

    live: Bool[Array, "C"]
    partition: Int[Array, "C"]  # the tenant
    user: Int[Array, "C"]  # who sent the request
    size: Float[Array, "C"]  # bytes of its texts and vectors
    tokens: Int[Array, "C"]  # of its request and response, as a prompt shows them
    quality: Float[Array, "C"]  # of its response, 0 to 1
    cost: Float[Array, "C"]  # of the model that wrote the response, over that of the dearest: 0 to 1
    gain: Float[Array, "C"]  # what a better response might bring, as it was at the time `updated`
    offloads: Float[Array, "C"]  # requests that a small model answered well with it, likewise
    updated: Float[Array, "C"]  # hours
    replays: Int[Array, "C"]  # how often its response was written anew
    requests: Float[Array, "C D"]  # unit vectors
    responses: Float[Array, "C D"]  # unit vectors


class NewExamples(NamedTuple):
    """N examples to insert: what :class:`ExampleTable` holds of each at the time ``hours`` of its response."""

    partition: Rows
    user: Rows
    size: Numbers
    tokens: Rows
    quality: Numbers
    cost: Numbers
    hours: Numbers
    requests: Vectors  # of any length above 0
    responses: Vectors


class ExampleFacts(NamedTuple):
    """What changes of N examples as they are used and replayed, besides their responses' embeddings."""

    size: Numbers
    tokens: Rows
    quality: Numbers
    gain: Numbers  # as it was at the time `updated`
    offloads: Numbers  # likewise
    updated: Numbers  # hours
    replays: Rows


def init_table(width: int, *, capacity: int = CAPACITY) -> ExampleTable:
    """Returns a table without examples.

    Args:
      width: D, the dimension of the embeddings.
      capacity: C, how many examples it holds before it grows, at least 1.

    Raises:
      ValueError: a width or capacity below 1.

    >>> table = init_table(384)
    >>> table.requests.shape, int(table.live.sum())
    ((1024, 384), 0)
    """
    if width < 1 or capacity < 1:
        raise ValueError(f"a table needs a width and a capacity of at least 1, got {width} and {capacity}")
    whole, real = jnp.zeros(capacity, jnp.int32), jnp.zeros(capacity, jnp.float32)
    vectors = jnp.zeros((capacity, width), jnp.float32)
    return ExampleTable(
        jnp.zeros(capacity, bool), whole, whole, real, whole, *[real] * 5, replays=whole, requests=vectors,
        responses=vectors,
    )  # fmt: skip


def insert_examples(table: ExampleTable, rows: NewExamples) -> tuple[ExampleTable, Int[np.ndarray, "N"]]:
    """Inserts examples into free rows, the lowest first; the capacity doubles until all have one.

    The arrays of the table are copied, as JAX does: many examples in one call cost little more than one.

    Args:
      table: where they go; it stays as it is.
      rows: N examples. Batches are padded to a power of two of at least 16, so that few programs are compiled.

    Returns:
      The table with them, and their ids, ``[N]`` int32 in the order of ``rows``.

    Raises:
      ValueError: fields of different lengths, numbers that are not finite or out of their range, or vectors of
        another width or of length 0; the message names the field and the first row.
    """
    rows = NewExamples(*map(np.asarray, rows))
    _check(rows, table.requests.shape[1])
    count, live = len(rows.user), np.count_nonzero(table.live)
    capacity = table.live.shape[0]
    while capacity - live < count:
        capacity *= 2
    table = table if capacity == len(table.live) else _grown(table, capacity)
    padded = NewExamples(*map(inputs.pad_changes, rows))
    table, ids = _write(table, padded, np.int32(count))
    return table, np.asarray(ids)[:count]


def update_facts(table: ExampleTable, ids: Rows, facts: ExampleFacts) -> ExampleTable:
    """Sets what is known of examples, as another process counted it; embeddings are not copied.

    Args:
      table: where they are; it stays as it is.
      ids: ``[N]``, each once; -1 and rows that are free are passed over. Batches are padded to a power of two
        of at least 16.
      facts: N rows.

    Raises:
      ValueError: fields of different lengths, or numbers that are not finite or out of their range.
    """
    facts = ExampleFacts(*map(np.asarray, facts))
    _check_lengths(ids=ids, **facts._asdict())
    _check_numbers("example", facts._asdict())
    fields = {name: getattr(table, name) for name in ExampleFacts._fields}
    padded = jax.tree.map(inputs.pad_changes, facts._asdict())
    return table._replace(**_set_rows(table.live, fields, inputs.pad_changed(np.asarray(ids, np.int32)), padded))


def replace_responses(table: ExampleTable, ids: Rows, responses: Vectors) -> ExampleTable:
    """Gives examples the embeddings of new responses.

    Args:
      table: where they are; it stays as it is.
      ids: ``[N]``, each once; -1 and rows that are free are passed over. Batches are padded to a power of two
        of at least 16.
      responses: ``[N, D]``, of any length above 0.

    Raises:
      ValueError: ids and vectors are not as many, or vectors are of another width or of length 0.
    """
    responses = inputs.check_vectors(table.requests.shape[1], responses, "responses")
    _check_lengths(ids=ids, responses=responses)
    padded = {"responses": inputs.unit(inputs.pad_changes(responses))}
    fields = {"responses": table.responses}
    return table._replace(**_set_rows(table.live, fields, inputs.pad_changed(np.asarray(ids, np.int32)), padded))


def forget_examples(table: ExampleTable, ids: Rows) -> ExampleTable:
    """Frees rows and sets all their fields to 0, embeddings too, so that nothing of the examples stays.

    Args:
      table: where they are; it stays as it is, so drop it.
      ids: ``[N]``; -1 and rows that are free already are passed over. Batches are padded to a power of two
        of at least 16.

    Returns:
      The table without them.

    Raises:
      ValueError: an id that is not below the capacity.
    """
    ids = np.asarray(ids, np.int32)
    capacity = table.live.shape[0]
    if ids.size and ids.max() >= capacity:
        raise ValueError(
            f"example {ids.max()} cannot be forgotten: the table has {capacity} rows. Pass the table that gave the id"
        )
    return _clear(table, inputs.pad_changed(ids))


def ids_of_user(table: ExampleTable, partition: int, user: int) -> Int[np.ndarray, "N"]:
    """Returns the ids of a user's live examples in a partition, in ascending order.

    Args:
      table: the examples.
      partition: the tenant; the same user id of another tenant is another user.
      user: the user's id.
    """
    live, partitions, users = map(np.asarray, (table.live, table.partition, table.user))
    return np.flatnonzero(live & (partitions == partition) & (users == user)).astype(np.int32)


@functools.partial(jax.jit, static_argnums=1)
def _grown(table: ExampleTable, capacity: int) -> ExampleTable:
    extra = capacity - len(table.live)
    return jax.tree.map(lambda x: jnp.concatenate([x, jnp.zeros((extra, *x.shape[1:]), x.dtype)]), table)


@jax.jit
def _write(table: ExampleTable, rows: NewExamples, count: Int[Array, ""]) -> tuple[ExampleTable, Int[Array, "P"]]:
    """Writes the first ``count`` rows; the ids of the others lie behind the table, where writes are dropped."""
    size, capacity = len(rows.user), table.live.shape[0]
    free = jnp.nonzero(~table.live, size=size, fill_value=capacity)[0]
    ids = jnp.where(jnp.arange(size) < count, free, capacity).astype(jnp.int32)
    zero = jnp.zeros(size)
    new = ExampleTable(
        jnp.ones(size, bool), rows.partition, rows.user, rows.size, rows.tokens, rows.quality, rows.cost, zero, zero,
        rows.hours, zero, inputs.unit(rows.requests), inputs.unit(rows.responses),
    )  # fmt: skip
    table = jax.tree.map(lambda old, x: old.at[ids].set(x.astype(old.dtype), mode="drop"), table, new)
    return table, ids


@jax.jit
def _set_rows(live: Bool[Array, "C"], fields: dict[str, Array], ids: Int[Array, "P"], new: dict[str, Array]):
    known = (ids >= 0) & live.at[ids].get(mode="fill", fill_value=False)
    rows = jnp.where(known, ids, live.shape[0])  # behind the table, where writes are dropped
    return {name: old.at[rows].set(new[name].astype(old.dtype), mode="drop") for name, old in fields.items()}


@jax.jit
def _clear(table: ExampleTable, ids: Int[Array, "P"]) -> ExampleTable:
    ids = jnp.where(ids < 0, table.live.shape[0], ids)
    return jax.tree.map(lambda x: x.at[ids].set(jnp.zeros((), x.dtype), mode="drop"), table)


_ALLOWED = {"quality": (0, 1), "cost": (0, 1), "hours": (-np.inf, np.inf), "updated": (-np.inf, np.inf)}
"""Ranges of fields; those of the others are 0 and more."""


def _check(rows: NewExamples, width: int) -> None:
    fields = rows._asdict()
    _check_lengths(**fields)
    numbers = {name: field for name, field in fields.items() if name not in ("requests", "responses")}
    _check_numbers("new example", numbers)
    for name in ("requests", "responses"):
        inputs.check_vectors(width, fields[name], name)


def _check_lengths(**fields) -> None:
    lengths = {name: len(field) for name, field in fields.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected as many rows in each field of the examples, got {lengths}")


def _check_numbers(what: str, fields: dict[str, np.ndarray]) -> None:
    for name, field in fields.items():
        low, high = _ALLOWED.get(name, (0, np.inf))
        wrong = np.flatnonzero(~(np.isfinite(field) & (field >= low) & (field <= high)))
        if wrong.size:
            raise ValueError(
                f"{name} of {what} {wrong[0]} is {field[wrong[0]]}; expected a finite number in [{low}, {high}]"
            )
