"""Which column plays which role in a layout: by the usual names, or as the user names them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxalign.data.readers import forms
from jaxalign.data.readers.forms import CHATS, MESSAGE, SHOWN, TEXTS


class Role(NamedTuple):
    """The names of columns that are taken for a role unless the user names one, and the forms that their values have.

    A column may also have the form ``empty`` where it is optional in every row.
    """

    names: tuple[str, ...]
    forms: tuple[str, ...]


ROLES = {
    "prompt": Role(("prompt", "question", "instruction", "query"), (*TEXTS, *CHATS)),
    "chosen": Role(("chosen", "response_chosen", "chosen_response", "response_j"), (*TEXTS, *CHATS, *MESSAGE)),
    "rejected": Role(("rejected", "response_rejected", "rejected_response", "response_k"), (*TEXTS, *CHATS, *MESSAGE)),
    "responses": Role(
        ("responses", "completions", "answers", "generations"), ("texts", "messages", "conversations", "objects")
    ),
    "labels": Role(("labels",), ("numbers",)),
    "ranks": Role(("ranks", "ranking"), ("numbers",)),
    "scores": Role(("scores", "ratings", "rewards"), ("numbers", "texts", "objects")),
    "completion": Role(("completion", "response", "output", "answer"), (*TEXTS, *CHATS, *MESSAGE)),
    "label": Role(("label", "preference", "score", "rating", "reward"), ("boolean", "number")),
    "id": Role(("prompt_id", "question_id", "list_id", "id"), ("text", "number")),
    "messages": Role(("messages", "conversations", "conversation"), CHATS),
    "system": Role(("system", "system_prompt"), ("text", "empty")),
    "context": Role(("input", "context"), ("text", "empty")),
}
"""``context`` is what an instruction is to be applied to, and ``system`` the text of a system message."""

SYNONYMS = {"response": "completion"}


@dataclasses.dataclass
class Table:
    """The first rows of a data set, all of them to be iterated over once, and the columns that play roles."""

    head: Sequence[Mapping]
    rows: Iterable[Mapping]
    forms: Mapping[str, str]
    roles: Mapping[str, tuple[str, ...]]

    def has(self, *roles: str) -> bool:
        """Says whether there is a column for each role."""
        return all(self.roles.get(role) for role in roles)

    def column(self, role: str) -> str:
        """The column of a role; ValueError where there are several."""
        first, *others = self.roles[role]
        if others:
            raise ValueError(f"{', '.join((first, *others))}: each may be the {role}; {name_them(**{role: first})}")
        return first

    def optional(self, role: str) -> str | None:
        """The column of a role, or None."""
        return self.column(role) if self.has(role) else None

    def form(self, role: str) -> str:
        """The form of the values of a role's column."""
        return form_in(self.head, self.column(role), role)


def name_them(**columns: str) -> str:
    """The remedy where columns are not clear, with an example."""
    example = columns or {"prompt": "question", "chosen": "good", "rejected": "bad"}
    return f"name the column of each role, for instance {example}; roles are {', '.join([*ROLES, *SYNONYMS])}"


def form_in(head: Sequence[Mapping], column: str, role: str) -> str:
    """The form of a column's values in a role: texts may spell what is a label."""
    values = [row.get(column) for row in head]
    return forms.label_form(values) if role == "label" else forms.form_of(values)


def found_roles(head: Sequence[Mapping], columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The columns that have a usual name and the right form, for each role that has some.

    Several ids are no doubt: the first name is that of a group.
    """
    found = {
        role: tuple(name for name in names if name in columns and form_in(head, name, role) in allowed)
        for role, (names, allowed) in ROLES.items()
    }
    found["id"] = found["id"][:1]
    if found["prompt"] != ("instruction",):
        found["prompt"] = found["prompt"] or tuple(name for name in found["context"] if name == "input")
        found["context"] = ()
    return {role: names for role, names in found.items() if names}


def named_roles(named: Mapping[str, str], head: Sequence[Mapping], columns: Mapping[str, str]) -> dict[str, tuple[str]]:
    """The columns that the user names; ValueError for a role or a column that is none, or that has other values."""
    roles = {}
    for given, column in named.items():
        role = SYNONYMS.get(given, given)
        if role not in ROLES:
            raise ValueError(f"{given}: expected a role, one of {', '.join([*ROLES, *SYNONYMS])}; correct it")
        if role in roles:
            raise ValueError(f"{given}: another name for {role}, which has a column already; keep one")
        if column not in columns:
            raise ValueError(f"{given}: no column {column!r}; there are {', '.join(columns)}; correct the name")
        if (form := form_in(head, column, role)) not in ROLES[role].forms:
            expected = " or ".join(SHOWN[each] for each in ROLES[role].forms)
            raise ValueError(f"{given}: expected {expected}, got {SHOWN[form]} in the column {column!r}")
        roles[role] = (column,)
    return roles
