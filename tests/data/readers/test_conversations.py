"""Rows whose responses are conversations: every message is rendered, or the row is refused with the reason."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from jaxalign import data

HELLO, SUM = {"role": "user", "content": "Hi"}, {"role": "user", "content": "2 + 2?"}
LONG = [HELLO, {"role": "assistant", "content": "Hello"}, SUM]
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 2}}}]}
TOOL = {"type": "function", "function": {"name": "add"}}


def a(text):
    return {"role": "assistant", "content": text}


def read(row, columns=None, **options):
    return data.read_rows([row], columns or data.PairColumns(), **options).records[0]


def pair(chosen, rejected, prompt=None):
    return {"chosen": chosen, "rejected": rejected} | ({} if prompt is None else {"prompt": prompt})


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        # As UltraFeedback has it: a text, and conversations that begin with it.
        (pair([HELLO, a("4")], [HELLO, a("5")], "Hi"), (HELLO,)),
        (pair([*LONG, a("4")], [*LONG, a("5")], "Hi"), None),
        # The text is the last turn, and the conversations know a system message besides.
        (
            pair(
                [SYSTEM, *LONG, a("4")],
                [SYSTEM, *LONG, a("5")],
                " 2 + 2?\n",
            ),
            None,
        ),
        # The prompt is a chat: repeated, repeated in part, continued, or not repeated.
        (pair([HELLO, a("4")], [HELLO, a("5")], [HELLO]), (HELLO,)),
        (pair([SYSTEM, HELLO, a("4")], [SYSTEM, HELLO, a("5")], [HELLO]), (SYSTEM, HELLO)),
        (pair([SUM, a("4")], [SUM, a("5")], LONG), tuple(LONG)),
        (
            pair([HELLO, a("a"), SUM, a("4")], [HELLO, a("a"), SUM, a("5")], [HELLO]),
            (HELLO, a("a"), SUM),
        ),
        (pair([a("4")], [a("5")], [SYSTEM, SUM]), (SYSTEM, SUM)),
        (pair(a("4"), "5", [SUM]), (SUM,)),
    ],
)
def test_every_message_before_the_answer_is_the_prompt(row, prompt):
    record = read(row)
    assert record.prompt == (tuple(row["chosen"][:-1]) if prompt is None else prompt)
    assert record.responses == ("4", "5")


def test_answers_to_a_text_may_be_messages():
    assert read(pair([a("4")], "5", "2 + 2?")) == data.PreferenceRecord.from_pair("2 + 2?", "4", "5")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            pair([HELLO, a("a"), SUM], [HELLO, a("b")], [HELLO]),
            "chosen: expected a response of the role 'assi",
        ),
        (pair([HELLO, a("a")], [HELLO, a("b"), SUM], "Hi"), "rejected: expected a response of the role 'assist"),
        (
            pair([HELLO, a("a"), SUM, a("4")], [HELLO, a("b"), SUM, a("5")], "Hi"),
            "chats that differ in their last",
        ),
        (
            pair([a("a"), SUM, a("4")], [a("a"), SUM, a("5")], [HELLO]),
            "chosen: the conversation has 2 mess",
        ),
        (
            pair([SUM, a("4")], [SUM, a("5")], "Hi"),
            "chosen: the conversation has 1 messages before",
        ),
        (pair([HELLO, a("4")], [a("5")], [SYSTEM, HELLO, a("a"), SUM]), "does not hold the prompt"),
        (pair([HELLO, CALL, {"role": "tool", "content": "4"}], [HELLO, a("5")], [HELLO]), "got one of 'tool'"),
        (pair([HELLO, a("4")], [], [HELLO]), "rejected: expected a text or a list of at least one chat message"),
        (
            pair([HELLO, {"role": "assistant", "content": None}], [HELLO, a("5")], "Hi"),
            "chosen, message 1: expected",
        ),
        (
            pair([SYSTEM, HELLO, a("4")], [HELLO, a("5")], [HELLO]),
            "expected chats that differ in their last",
        ),
        (pair([HELLO, a("4")], "5", "Hi"), "expected chats that differ in their last message only"),
    ],
)
def test_what_would_be_dropped_is_refused_and_counted(row, reason):
    good = pair([HELLO, a("4")], [HELLO, a("5")], [HELLO])
    with pytest.raises(ValueError, match=f"row 2: .*{reason}"):
        data.read_rows([good, row], data.PairColumns())
    records, report = data.read_rows([good, row], data.PairColumns(), skip_bad_rows=True)
    assert (len(records), report.skipped) == (1, 1) and reason in report.problems[0]


def test_a_prompt_column_is_needed_for_texts():
    for sides in (("4", "5"), ([a("4")], [a("5")])):
        with pytest.raises(ValueError, match="row 1: chosen: expected a chat"):
            read(pair(*sides), data.PairColumns(prompt=None))


def test_all_columns_take_conversations_and_tools(tmp_path):
    chat = LONG
    answers = [[*chat, a("4")], [*chat, CALL], "5"]
    expected = ("4", CALL, "5")
    row = {"id": "a", "prompt": chat, "responses": answers, "labels": [1.0, 0.5, 0.0], "ranks": [1, 2, 3]}
    for columns in data.ListColumns(), data.RankColumns(), data.UnlabelledColumns():
        for tools in ([TOOL], json.dumps([TOOL])):
            record = read(row | {"tools": tools}, columns)
            assert (record.prompt, record.responses, record.tools) == (tuple(chat), expected, (TOOL,))
        for nothing in (None, "", [], "[]"):
            assert read(row | {"tools": nothing}, columns).tools == ()
    rows = [{"id": "a", "prompt": chat, "response": answer, "label": 0.5, "tools": [TOOL]} for answer in answers]
    record = data.read_rows(rows, data.ResponseColumns(), group_by_id=True).records[0]
    assert (record.responses, record.tools) == (expected, (TOOL,))
    with pytest.raises(ValueError, match="tools: expected a list of JSON schemas, got no JSON"):
        read(row | {"tools": "add"}, data.ListColumns())
    with pytest.raises(ValueError, match="tools: expected a list of JSON schemas, got {'a': 1}"):
        read(row | {"tools": {"a": 1}}, data.ListColumns())


def test_parquet_gives_every_message_the_fields_of_all(tmp_path):
    rows = [pair([HELLO, CALL], [HELLO, a("5")], [HELLO])]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    record = data.read_parquet(tmp_path / "a.parquet", data.PairColumns()).records[0]
    assert record.prompt == (HELLO,) and record.responses == (CALL, "5")
