"""One rule for each family of layouts: whether the columns of a table make it, and how its rows are then read.

A rule gives None where columns that it needs are missing, and raises ValueError where they are not what they seem.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxalign.data.readers import forms
from jaxalign.data.readers.columns import ListColumns, PairColumns, RankColumns, ResponseColumns
from jaxalign.data.readers.demonstration_columns import ConversationColumns, DemonstrationColumns, UnpairedColumns
from jaxalign.data.readers.roles import Table, name_them
from jaxalign.data.readers.row_steps import (
    Fields,
    JoinedPrompt,
    Prepared,
    SharedBeginning,
    ShareGptRoles,
    SystemTurn,
    TranscriptPrompt,
)
from jaxalign.data.readers.scales import KNOWN_SCALES, label_facts, range_of, scale, scores_in
from jaxalign.data.readers.score_columns import ScoreColumns
from jaxalign.data.readers.transcripts import TranscriptColumns

RESPONSE_FIELDS = "response", "answer", "completion", "text", "content"
SCORE_FIELDS = (*KNOWN_SCALES, "score", "rating", "reward")
RANK_FIELDS = ("rank",)


class Fit(NamedTuple):
    """A layout with the columns that it uses by their roles, None for none, and notes on how they are read."""

    name: str
    kind: str
    row_fn: Callable[[Mapping], Any]
    used: Mapping[str, str | None]
    group_by_id: bool = False
    notes: tuple[str, ...] = ()


def pairs(table: Table) -> Fit | None:
    """Pairs of texts, of messages, of whole conversations, or of transcripts."""
    if not table.has("chosen", "rejected"):
        return None
    columns = {role: table.column(role) for role in ("chosen", "rejected")}
    form, ids = table.form("chosen"), {"id": table.optional("id")}
    if form == "transcript":
        return Fit("transcripts", "preferences", TranscriptColumns(**columns, **ids), columns | ids)
    if table.has("prompt"):
        prompt, prompt_form = table.column("prompt"), table.form("prompt")
    elif form == "text":
        return _continued(table, columns, ids)
    elif form in forms.MESSAGE and table.has("messages"):
        prompt, prompt_form = table.column("messages"), table.form("messages")
    else:
        prompt, prompt_form = None, None
    whole = any(isinstance(row.get(columns["chosen"]), list) and len(row[columns["chosen"]]) > 1 for row in table.head)
    if prompt is None and not whole:
        raise ValueError(_no_prompt(table, columns))
    columns = {"prompt": prompt} | columns
    if prompt_form == "transcript" and form == "text":
        return Fit("transcripts", "preferences", TranscriptColumns(**columns, **ids), columns | ids)
    if whole and prompt_form not in forms.CHATS:
        name = "implicit-prompt pairs"
    else:
        name = "pairs" if form in forms.TEXTS and prompt_form in forms.TEXTS else "conversational pairs"
    row_fn, more, notes = _prepared(table, PairColumns(**columns, **ids), columns)
    return Fit(name, "preferences", row_fn, columns | more | ids, notes=notes)


def _continued(table: Table, columns: dict[str, str], ids: dict) -> Fit:
    """Pairs of texts without a prompt, which is what both begin with, if most of them begin alike."""
    step, alike = SharedBeginning("the prompt", **columns), 0
    for row in table.head:
        with contextlib.suppress(ValueError):
            alike += bool(step(row))
    if 2 * alike <= len(table.head):
        raise ValueError(_no_prompt(table, columns))
    row_fn = Prepared(PairColumns("the prompt", **columns, **ids), (step,))
    note = "the prompt is what both begin with, up to the last blank"
    return Fit("implicit-prompt pairs", "preferences", row_fn, columns | ids, notes=(note,))


def _no_prompt(table: Table, columns: dict[str, str]) -> str:
    what = forms.SHOWN[table.form("chosen")]
    return (
        f"{', '.join(columns.values())}: {what} without their prompt; there are the columns {', '.join(table.forms)}; "
        f"{name_them()}"
    )


def lists(table: Table) -> Fit | None:
    """Lists of responses with labels, ranks or scores, in columns of their own or in each response's object."""
    judged = [role for role in ("labels", "ranks", "scores") if table.has(role)]
    if not table.has("prompt", "responses"):
        return None
    if table.form("responses") == "objects":
        return _objects(table)
    if not judged:
        return None
    columns = {role: table.column(role) for role in ("prompt", "responses", *judged)}
    if len(judged) > 1:
        named = ", ".join(columns[role] for role in judged)
        example = name_them(**{judged[0]: columns[judged[0]]})
        raise ValueError(f"{named}: each may be what judges the responses; {example}")
    return _judged_lists(table, judged[0], columns, columns)


def responses(table: Table) -> Fit | None:
    """Rows of one response: of a list, with an id in common, or judged by itself, as good or bad."""
    if not table.has("prompt", "completion", "label"):
        return None
    prompt, completion, label = (table.column(role) for role in ("prompt", "completion", "label"))
    columns, key = {"prompt": prompt, "completion": completion, "label": label}, table.optional("id")
    values, repeated = label_facts(table.rows, label, (key, prompt))
    if values <= {0.0, 1.0} and key not in repeated:
        used = columns | {"id": key}
        row_fn, more, notes = _prepared(table, UnpairedColumns(**used), columns)
        return Fit("unpaired", "unpaired", row_fn, used | more, notes=notes)
    if not repeated:
        return None  # no two rows belong together, so the numbers compare nothing
    key = key if key in repeated else prompt  # ids that are never the same name rows, not lists
    (low, high), note = scale(range_of(values), label)
    plain = ResponseColumns(key, prompt, completion, label, low=low, high=high)
    row_fn, more, notes = _prepared(table, plain, columns)
    used = columns | more | ({} if key == prompt else {"id": key})
    notes = (*notes, note, f"rows of one {key!r} are a list")
    return Fit("responses", "preferences", row_fn, used, True, notes)


def demonstrations(table: Table) -> Fit | None:
    """Prompts with the response to learn, also as Alpaca writes them, with an instruction and what it is applied to."""
    if not table.has("prompt", "completion"):
        return None
    columns = {role: table.column(role) for role in ("prompt", "completion")} | {"id": table.optional("id")}
    row_fn, more, notes = _prepared(table, DemonstrationColumns(**columns), columns)
    return Fit("demonstrations", "demonstrations", row_fn, columns | more, notes=notes)


def conversations(table: Table) -> Fit | None:
    """Whole conversations to learn from."""
    if not table.has("messages"):
        return None
    columns = {"messages": table.column("messages")}
    ids = {"id": table.optional("id")}
    row_fn, more, notes = _prepared(table, ConversationColumns(**columns, **ids), columns, first="messages")
    return Fit("conversations", "demonstrations", row_fn, columns | more | ids, notes=notes)


PREFERENCES = pairs, lists, responses
DEMONSTRATIONS = demonstrations, conversations


def _prepared(
    table: Table, row_fn: Any, columns: Mapping[str, str | None], first: str = "prompt"
) -> tuple[Any, dict[str, str], tuple[str, ...]]:
    """The row_fn after the steps that the forms of its columns need, the columns that these use, and notes on them."""
    steps, used, notes = [], {}, ()
    named = [column for column in columns.values() if column is not None]
    steps += [ShareGptRoles(column) for column in named if table.forms[column].startswith("ShareGPT")]
    if (prompt := columns.get(first)) is not None:
        if table.forms[prompt] == "transcript":
            steps.append(TranscriptPrompt(prompt))
        if table.has("context") and table.forms[prompt] == "text":
            used["context"] = table.column("context")
            steps.append(JoinedPrompt(prompt, used["context"]))
            notes = (f"a prompt is {prompt!r}, a blank line and {used['context']!r}, where that is not empty",)
        if table.has("system"):
            used["system"] = table.column("system")
            steps.append(SystemTurn(used["system"], prompt))
    return Prepared(row_fn, tuple(steps)) if steps else row_fn, used, notes


def _objects(table: Table) -> Fit | None:
    """Lists of objects that have a response and what judges it, as UltraFeedback's completions do."""
    column = table.column("responses")
    objects = [each for row in table.head for each in row.get(column) or () if isinstance(each, Mapping)]
    fields = {name for each in objects for name in each}
    response = next((name for name in RESPONSE_FIELDS if name in fields), None)
    judge = next((name for name in (*SCORE_FIELDS, *RANK_FIELDS) if name in fields), None)
    if response is None or judge is None:
        return None
    role = "ranks" if judge in RANK_FIELDS else "scores"
    columns = {"prompt": table.column("prompt"), "responses": f"{column}.{response}", role: f"{column}.{judge}"}
    steps = (Fields(column, (response, judge)),)
    used = {"prompt": columns["prompt"], "responses": column}
    note = f"of each object {response!r} is the response and {judge!r} its {role[:-1]}"
    fit = _judged_lists(table, role, columns, used, steps)
    return fit._replace(notes=(note, *fit.notes))


def _judged_lists(
    table: Table, role: str, columns: Mapping[str, str], used: Mapping[str, str], steps: tuple = ()
) -> Fit:
    """The layout of lists that the column of one role judges, read after some steps."""
    ids = {"id": table.optional("id")}
    notes = ()
    if role == "scores":
        known = KNOWN_SCALES.get(columns["scores"].rpartition(".")[2])
        found = (score for row in table.rows for score in scores_in(row, columns["scores"], steps))
        (low, high), note = scale(known or range_of(found), columns["scores"])
        notes = (f"{note}, the scale of UltraFeedback" if known else note,)
        row_fn, name = ScoreColumns(low, high, **columns, **ids), "scored lists"
    elif role == "ranks":
        row_fn, name = RankColumns(**columns, **ids), "ranked lists"
    else:
        outside = [
            each for row in table.head for each in scores_in(row, columns["labels"], steps) if not 0 <= each <= 1
        ]
        if outside:
            raise ValueError(
                f"{columns['labels']}: expected numbers in [0, 1], got {outside[0]:g}; name the column as scores if "
                "higher is better, or as ranks if 1 is the best"
            )
        row_fn, name = ListColumns(**columns, **ids), "labelled lists"
    row_fn, more, said = _prepared(table, row_fn, used)
    if steps:
        row_fn = Prepared(row_fn, steps)
    return Fit(name, "preferences", row_fn, {**used, **more, **ids}, notes=(*said, *notes))
