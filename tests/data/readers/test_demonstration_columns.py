"""Rows of one response, and the turns of a conversation."""

import pytest

from jaxalign import data
from tests.data.readers.asked import ANSWERED, ASKED, assistant, record, texts, user


@pytest.mark.parametrize(("label", "expected"), [(True, 1.0), (0, 0.0), ("false", 0.0), (" TRUE", 1.0), ("1.0", 1.0)])
def test_what_says_that_a_response_is_desirable(label, expected):
    rows = [texts(completion="2", label=label)]
    assert data.read_rows(rows, data.UnpairedColumns()).records == [record("1 + 1?", ("2",), (expected,))]


@pytest.mark.parametrize("label", [0.5, 2, "good", [True]])
def test_what_does_not(label):
    with pytest.raises(ValueError, match="row 1: label: expected"):
        data.read_rows([texts(completion="2", label=label)], data.UnpairedColumns())


def test_functions_belong_to_a_conversation():
    tool = {"type": "function", "function": {"name": "add"}}
    rows = [{"messages": ANSWERED, "tools": [tool]}]
    assert data.read_rows(rows, data.ConversationColumns()).records[0].tools == (tool,)


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        ([*ANSWERED, user("Sure?")], "expected a response of the role 'assistant', got one of 'user'; cut the conv"),
        ([assistant("2")], "expected a chat of a prompt and an answer, got one message"),
        (None, "the row has no value here"),
    ],
)
def test_conversations_without_an_answer(chat, words):
    with pytest.raises(ValueError, match=f"row 1: messages: {words}"):
        data.read_rows([{"messages": chat}], data.ConversationColumns())


def test_every_turn_of_the_assistant_is_a_record():
    call = assistant("") | {"tool_calls": [{"function": {"name": "add", "arguments": {}}}]}
    chat = (*ASKED, call, {"role": "tool", "content": "2"}, assistant("It is 2."), user("Sure?"))
    whole = record(chat, ("Yes.",), (1.0,), id="a", tokens=((7, 8),))
    first, second, last = data.each_turn(whole)
    assert first == record(tuple(ASKED), (call,), (1.0,), id="a")
    assert second == record(chat[:3], ("It is 2.",), (1.0,), id="a")
    assert last == whole


def test_a_greeting_answers_nothing():
    chat = (assistant("Hello."), *ASKED)
    assert data.each_turn(record(chat, ("2",), (1.0,))) == [record(chat, ("2",), (1.0,))]
    assert data.each_turn(record("1 + 1?", ("2",), (1.0,))) == [record("1 + 1?", ("2",), (1.0,))]


@pytest.mark.parametrize("labels", [(0.0,), (1.0, 0.0)])
def test_turns_of_what_is_no_demonstration(labels):
    answers = ("2", "3")[: len(labels)]
    with pytest.raises(ValueError, match="expected a demonstration, one response with the label 1, got"):
        data.each_turn(record(tuple(ASKED), answers, labels))
