"""Layouts that are unclear, and those whose columns the user names instead."""

import pytest

from jaxalign import data
from tests.data.readers.asked import ANSWERED, ASKED, PAIR, assistant, record

UNCLEAR = {
    "nothing": ([], "expected rows, got none"),
    "unknown": (
        [{"a": 1, "b": "x"}],
        r"fits no layout. Its columns: a \(numbers\), b \(texts\).(.|\n)*pairs: prompt, cho",
    ),
    "two layouts": (
        [{"prompt": "p", "chosen": "a", "rejected": "b", "responses": ["a", "b"], "labels": [1, 0]}],
        r"fits several layouts, pairs and labelled lists. Its columns(.|\n)*Remedy: name the column of each role, for",
    ),
    "two prompts": (
        [{"prompt": "p", "question": "q", "chosen": "a", "rejected": "b"}],
        "prompt, question: each may be th",
    ),
    "two kinds of judgement": (
        [{"prompt": "p", "responses": ["a", "b"], "labels": [1, 0], "ranks": [1, 2]}],
        "labels, ranks: each may be what judges the responses; name the column of each role, for instance {'labels'",
    ),
    "two demonstrations": (
        [{"prompt": "p", "completion": "a", "messages": ANSWERED}],
        "demonstrations and conversations",
    ),
    "no prompt": (
        [{"chosen": "yes", "rejected": "no", "asked": "Is it?"}],
        "chosen, rejected: texts without their prompt; there are the columns chosen, rejected, asked; name the column",
    ),
    "an answer alone": ([{"chosen": [assistant("a")], "rejected": [assistant("b")]}], "messages without their prompt"),
    "labels or ranks": (
        [{"prompt": "p", "responses": ["a", "b"], "labels": [1, 2]}],
        r"in \[0, 1\], got 2; name the col",
    ),
    "equal scores": (
        [{"prompt": "p", "responses": ["a", "b"], "scores": [3, 3]}],
        "tell responses apart, got 3 everywher",
    ),
    "no scores": ([{"prompt": "p", "responses": ["a"], "scores": ["good"]}], "tell responses apart, got no numbers"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_unclear_is_an_error(case):
    rows, words = UNCLEAR[case]
    with pytest.raises(ValueError, match=words):
        data.recognise(rows)


NAMED = {
    "pairs": (
        {"prompt": "q", "chosen": "+", "rejected": "-"},
        {"q": "1 + 1?", "+": "2", "-": "3", "prompt": "x"},
        PAIR,
    ),
    "labelled lists": (
        {"prompt": "q", "responses": "r", "labels": "l"},
        {"q": "1 + 1?", "r": ["2", "3"], "l": [0.75, 0.25]},
        PAIR,
    ),
    "ranked lists": (
        {"prompt": "q", "responses": "r", "ranks": "labels"},
        {"q": "1 + 1?", "r": ["2", "3"], "labels": [1, 2]},
        PAIR,
    ),
    "scored lists": (
        {"prompt": "q", "responses": "done.response", "scores": "done.overall_score"},
        {
            "q": "1 + 1?",
            "done": [{"response": "2", "overall_score": 10}, {"response": "3", "overall_score": 1, "score": 7}],
        },
        record(labels=(1.0, 0.0)),
    ),
    "unpaired": (
        {"prompt": "q", "response": "r", "label": "l"},
        {"q": "1 + 1?", "r": "2", "l": "TRUE"},
        record(responses=("2",), labels=(1,)),
    ),
    "demonstrations": (
        {"prompt": "q", "context": "c", "completion": "r"},
        {"q": "1 + 1?", "c": "Quick!", "r": "2"},
        record("1 + 1?\n\nQuick!", ("2",), (1,)),
    ),
    "conversations": (
        {"messages": "m", "id": "n"},
        {"m": ANSWERED, "n": 3},
        record(tuple(ASKED), ("2",), (1,), id="3"),
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_columns_that_the_user_names(name):
    columns, row, expected = NAMED[name]
    layout = data.named_layout(columns, [row])
    assert layout.name == name and data.read_rows([row], layout.row_fn).records == [expected]


MISNAMED = {
    "role": ({"promt": "q"}, "promt: expected a role, one of prompt, chosen, rejected.*correct it"),
    "column": ({"prompt": "p"}, "prompt: no column 'p'; there are q, r, n; correct the name"),
    "field": ({"responses": "r.text"}, "responses: no column 'r.text'; there are q, r, n"),
    "form": ({"labels": "n"}, "labels: expected lists of numbers, got numbers in the column 'n'"),
    "twice": ({"completion": "r", "response": "r"}, "response: another name for completion"),
    "too few": ({"prompt": "q", "chosen": "r"}, "fits no layout"),
    "too many": (
        {"prompt": "q", "completion": "r", "label": "n"},
        "label: not a role of demonstrations, whose columns are",
    ),
}


@pytest.mark.parametrize("case", MISNAMED)
def test_names_that_cannot_be(case):
    columns, words = MISNAMED[case]
    with pytest.raises(ValueError, match=words):
        data.named_layout(columns, [{"q": "1 + 1?", "r": "2", "n": 2}])
