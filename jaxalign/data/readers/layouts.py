"""Recognises the layout of a data set from its columns, and says what it saw: which reader fits, without being told."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from jaxalign.data.readers import forms, layout_rules, roles, row_steps
from jaxalign.data.readers.collecting import RowFn

HEAD = 100
LAYOUTS = {
    "pairs": "prompt, chosen, rejected: texts",
    "conversational pairs": "prompt, chosen, rejected: messages",
    "implicit-prompt pairs": "chosen, rejected: whole conversations that differ in their last message, or texts that "
    "begin alike",
    "transcripts": "chosen, rejected: texts of 'Human:' and 'Assistant:', or a prompt that ends with 'Assistant:' and "
    "two answers",
    "unpaired": "prompt, completion, label: true or false",
    "labelled lists": "prompt, responses, labels: numbers in [0, 1]",
    "ranked lists": "prompt, responses, ranks: 1 for the best",
    "scored lists": "prompt, responses, scores: of any scale; or completions: objects with a response and a score",
    "responses": "prompt, response, label: a number; rows of one prompt_id are a list",
    "demonstrations": "prompt, completion; or instruction, input, output: texts",
    "conversations": "messages, or conversations with from and value",
}


class Layout(NamedTuple):
    """How the rows of a data set are read.

    Attributes:
      name: which layout it is, a key of :data:`LAYOUTS`.
      kind: what the records are good for: lists or pairs to compare, single responses that are good or bad, or examples
        to learn from.
      row_fn: makes a record of a row.
      group_by_id: whether rows of one id are parts of one list.
      seen: a sentence that says which columns were taken for what, how scores are rescaled, and what is not used.
    """

    name: str
    kind: Literal["preferences", "unpaired", "demonstrations"]
    row_fn: RowFn
    group_by_id: bool
    seen: str


def recognise(rows: Iterable[Mapping]) -> Layout:
    """Recognises the layout of a data set.

    The names of columns and the forms of their values in the first 100 rows tell; other rows are looked at only for
    the range of scores.

    >>> layout = recognise([{"question": "1 + 1?", "chosen": "2", "rejected": "3"}])
    >>> layout.name, layout.kind
    ('pairs', 'preferences')
    >>> layout.seen
    "pairs: prompt is 'question' (texts), chosen is 'chosen' (texts), rejected is 'rejected' (texts)"

    Args:
      rows: all rows, mappings from columns to values.

    Returns:
      The layout.

    Raises:
      ValueError: if no layout fits, or several do; lists the columns, the layouts, and the remedy.
    """
    table, steps = _table(rows)
    table.roles = roles.found_roles(table.head, table.forms)
    return _layout(table, _fit(table), steps)


def named_layout(columns: Mapping[str, str], rows: Iterable[Mapping]) -> Layout:
    """Gives the layout of a data set whose columns are named by the user; other columns are not used.

    >>> layout = named_layout({"prompt": "q", "chosen": "+", "rejected": "-"}, [{"q": "1 + 1?", "+": "2", "-": "3"}])
    >>> layout.name
    'pairs'

    Args:
      columns: the column of each role; ``completions.response`` is a field of a column of objects. Roles are prompt,
        chosen, rejected, responses, labels, ranks, scores, completion or response, label, id, messages, system, and
        context, which is what an instruction is applied to.
      rows: all rows, mappings from columns to values.

    Returns:
      The layout that the roles make.

    Raises:
      ValueError: for an unknown role, a column that is missing or has values of another form, or roles that make no
        layout.
    """
    table, steps = _table(rows, columns.values())
    table.roles = roles.named_roles(columns, table.head, table.forms)
    fit = _fit(table)
    if unused := [role for role in table.roles if role not in fit.used]:
        raise ValueError(
            f"{', '.join(unused)}: not a role of {fit.name}, whose columns are {LAYOUTS[fit.name]}; leave it out"
        )
    return _layout(table, fit, steps)


def _table(rows: Iterable[Mapping], named: Collection[str] = ()) -> tuple[roles.Table, tuple]:
    """The rows after the steps that give lists of objects and columns of named fields; and these steps."""
    left = iter(rows)
    head = list(itertools.islice(left, HEAD))
    if not head:
        raise ValueError("expected rows, got none; see whether the file is the right one")
    found = forms.columns_of(head)
    steps = tuple(row_steps.Objects(column) for column, form in found.items() if form == "fields")
    dotted = [name for name in named if "." in name and name not in found]
    wholes = dict.fromkeys(name.partition(".")[0] for name in dotted)
    steps += tuple(_fields(whole, dotted) for whole in wholes if found.get(whole) in ("objects", "fields"))
    head = list(_good(head, steps))
    return roles.Table(head, itertools.chain(head, _good(left, steps)), forms.columns_of(head), {}), steps


def _fields(whole: str, dotted: list[str]) -> row_steps.Fields:
    return row_steps.Fields(whole, tuple(name[len(whole) + 1 :] for name in dotted if name.startswith(f"{whole}.")))


def _good(rows: Iterable[Mapping], steps: tuple) -> Iterator[Mapping]:
    """The rows after the steps, without those that have not the form for it: the reader names these."""
    for row in rows:
        with contextlib.suppress(ValueError):
            yield row_steps.prepared(row, steps)


def _fit(table: roles.Table) -> layout_rules.Fit:
    fits = [fit for rule in layout_rules.PREFERENCES if (fit := rule(table))]
    # What shows a good answer beside a comparison is one of the responses again.
    fits = fits or [fit for rule in layout_rules.DEMONSTRATIONS if (fit := rule(table))]
    if len(fits) != 1:
        raise ValueError(_unclear(table, [fit.name for fit in fits]))
    return fits[0]


def _layout(table: roles.Table, fit: layout_rules.Fit, steps: tuple) -> Layout:
    used = {role: column for role, column in fit.used.items() if column is not None}
    seen = {role: forms.SHOWN[roles.form_in(table.head, column, role)] for role, column in used.items()}
    shown = ", ".join(f"{role} is {column!r} ({seen[role]})" for role, column in used.items())
    unused = [column for column in table.forms if column not in used.values()]
    notes = [*fit.notes, *([f"not used: {', '.join(unused)}"] if unused else [])]
    row_fn = row_steps.Prepared(fit.row_fn, steps) if steps else fit.row_fn
    return Layout(fit.name, fit.kind, row_fn, fit.group_by_id, "; ".join([f"{fit.name}: {shown}", *notes]))


def _unclear(table: roles.Table, names: list[str]) -> str:
    columns = ", ".join(f"{name} ({forms.SHOWN[form]})" for name, form in table.forms.items())
    what = f"fits several layouts, {' and '.join(names)}" if names else "fits no layout"
    known = "\n".join(f"  {name}: {columns}" for name, columns in LAYOUTS.items())
    return f"the data set {what}. Its columns: {columns}.\nLayouts:\n{known}\nRemedy: {roles.name_them()}"
