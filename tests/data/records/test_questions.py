import collections

import numpy as np
import pytest

from jaxalign import data
from jaxalign.data import Question


def test_rows_of_every_kind():
    nli = {"premise": "It rains.", "hypothesis": "It is wet.", "label": "neutral", "why": ["a", "b"], "more": " "}
    columns = data.NliColumns(explanations=("why", "more"))
    expected = "Premise: It rains.\nHypothesis: It is wet.\nGiven the premise, is the hypothesis true?"
    assert columns(nli) == Question(expected, ("Yes", "Maybe", "No"), 1, ("a b",), group="It rains.")
    assert columns(nli | {"label": 2}).answer == 2
    choice = {"question": "q", "choices": ["a", "b"], "answer": 1, "n": 7}
    assert data.ChoiceColumns(id="n")(choice) == Question("q", ("a", "b"), 1, id="7")
    assert data.ChoiceColumns()(choice | {"answer": -1}).answer is None
    with pytest.raises(ValueError, match="answer: expected the place of the right choice, counted from 0, got 'b'"):
        data.ChoiceColumns()(choice | {"answer": "b"})
    boolean = {"question": "q", "answer": False, "term": "t"}
    assert data.BooleanColumns(group="term")(boolean) == Question("q", ("True", "False"), 1, group="t")
    judged = {"prompt": "p", "response_a": "a", "response_b": "b", "label": 2}
    assert data.JudgedPairColumns()(judged) == data.PreferencePair("p", "a", "b", 0.0)
    ties = data.JudgedPairColumns(targets={"a": 1.0, "b": 0.0, "tie": 0.5})
    assert ties(judged | {"label": "tie"}).is_tie


def read_choice(choices, answer):
    return data.ChoiceColumns()({"question": "q", "choices": choices, "answer": answer})


@pytest.mark.parametrize(
    "choices, answer, expected",
    [
        (["red", "green"], 1.0, (("red", "green"), 1)),
        (("red", "green"), np.int64(0), (("red", "green"), 0)),
        (np.array(["red", "green"]), 1, (("red", "green"), 1)),
        (["red", "green"], float("nan"), (("red", "green"), None)),
        (["red", "green"], None, (("red", "green"), None)),
        (["red", "green"], -1.0, (("red", "green"), None)),
        (["red", "green"], "", (("red", "green"), None)),
        ({"text": ["red", "green"], "label": ["A", "B"]}, "B", (("red", "green"), 1)),
        ({"text": ["red", "green"], "label": ["A", "B"]}, 1, (("red", "green"), 1)),
        ({"text": ["red", "green"], "label": ["1", "2"]}, "1", (("red", "green"), 0)),
        ([{"text": "red", "label": "A"}, {"text": "green", "label": "B"}], "A", (("red", "green"), 0)),
    ],
)
def test_choices_and_answers_of_every_form(choices, answer, expected):
    question = read_choice(choices, answer)
    assert (question.options, question.answer) == expected and type(question.answer) in (int, type(None))


@pytest.mark.parametrize(
    "choices, answer, message",
    [
        ("red", 0, "choices: expected a list of texts, .*got 'red'"),
        ('["red", "green"]', 0, "choices: expected a list of texts"),
        ({"A": "red", "B": "green"}, "A", "choices: expected a list of texts"),
        ({"red", "green"}, 0, "choices: expected a list of texts"),
        (["red", 3], 0, "options: expected texts"),
        ({"text": ["red", "green"], "label": ["A"]}, "A", "expected a label for each text, got 1 for 2"),
        ({"text": ["red", "green"], "label": ["A", "B"]}, "C", "expected one of the labels"),
        ({"text": ["red", "green"], "label": ["1", "2"]}, 1, "1 may be a place or one of the labels"),
        (["red", "green"], 0.5, "expected the place of the right choice, counted from 0, got 0.5"),
        (["red", "green"], True, "expected the place of the right choice, counted from 0, got True"),
        (["red", "green"], [0], "expected the place of the right choice"),
        (["red", "green"], 2, "answer: expected a place in 0 to 1 or None, got 2"),
    ],
)
def test_choices_and_answers_that_are_not_understood(choices, answer, message):
    with pytest.raises(ValueError, match=message):
        read_choice(choices, answer)


def target(label, **columns):
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "chosen": "c", "rejected": "d", "label": label}
    return data.JudgedPairColumns(**columns)(row).target


@pytest.mark.parametrize(
    "label, expected",
    [
        (1, 1.0), (2, 0.0), ("1", 1.0), (2.0, 0.0), (np.int64(1), 1.0),
        ("A", 1.0), ("b", 0.0), ("tie", 0.5), ("Tie", 0.5), ("model_a", 1.0), ("Model B", 0.0), ("tie (bothbad)", 0.5),
        ("first", 1.0), (" second ", 0.0), ("response_b", 0.0), ("Assistant A", 1.0), ("both-bad", 0.5),
    ],
)  # fmt: skip
def test_labels_of_pairs_as_they_are_usually_written(label, expected):
    assert target(label) == expected


def test_labels_of_pairs_that_a_user_explains():
    zero_first = {"0": 1.0, "1": 0.0, "2": 0.5}
    assert [target(label, targets=zero_first) for label in (0, 1.0, "2")] == [1.0, 0.0, 0.5]
    zero_tie = {0: 0.5, 1: 1.0, 2: 0.0}
    assert [target(label, targets=zero_tie) for label in (0, 1.0, "2")] == [0.5, 1.0, 0.0]
    assert [target(label, targets={"true": 1.0, "false": 0.0}) for label in (True, False)] == [1.0, 0.0]
    columns = {"first": "chosen", "second": "rejected"}
    assert [target(label, **columns) for label in ("chosen", "rejected")] == [1.0, 0.0]
    row = {"prompt": "p", "chosen": "c", "rejected": "d"}
    assert data.JudgedPairColumns(label="", **columns)(row) == data.PreferencePair("p", "c", "d", 1.0)


@pytest.mark.parametrize("label", [0, "0", 3, True, False, 0.5, float("nan"), "chosen", "better", [1], None, ""])
def test_labels_of_pairs_that_are_not_understood(label):
    with pytest.raises(
        ValueError, match="label: (expected 1 or 2, 'A', 'B', 'tie' .*--labels VALUE=first|the row has)"
    ):
        target(label)


def test_a_bad_row_is_named():
    rows = [{"premise": "p", "hypothesis": "h", "label": label} for label in ("neutral", "-")]
    with pytest.raises(ValueError, match="row 2: label: expected one of 'entailment', .*, got '-'"):
        data.read_rows(rows, data.NliColumns())
    questions, report = data.read_rows(rows, data.NliColumns(), skip_bad_rows=True)
    assert len(questions) == 1 and report.skipped == 1


@pytest.mark.parametrize(
    "fields, message",
    [
        (("", ("a", "b")), "text: expected"),
        (("q", ("a",)), "options: expected two"),
        (("q", ("a", "b"), 2), "answer: expected a place in 0 to 1"),
        (("q", ("a", "b"), 0, (None,)), "explanations: expected texts"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Question(*fields)


def test_a_split_shares_no_group_and_no_text():
    questions = [Question(f"q{n % 40}", ("a", "b"), 0, ("e",), group=f"g{n % 9}") for n in range(60)]
    questions += [Question(f"open {n}", ("a", "b")) for n in range(20)]
    questions += [Question(f"bare {n}", ("a", "b"), 1) for n in range(3)]
    split = data.split_questions(questions, num_demonstrations=4, num_test=8, seed=3)
    assert all(question.explanations for question in split.demonstrations)
    assert all(question.answer is not None for question in split.test)
    assert not {q.group for q in split.demonstrations} & {q.group for q in split.test if q.group}
    assert not {q.text for q in split.demonstrations} & {q.text for q in split.test}
    assert split == data.split_questions(questions, num_demonstrations=4, num_test=8, seed=3)
    with pytest.raises(ValueError, match="expected 90 demonstrations"):
        data.split_questions(questions, num_demonstrations=90, num_test=1, seed=0)


def test_the_shared_files_read_as_their_readme_says(shared_data):
    def read(path, columns):
        return data.read_parquet(shared_data / path, columns).records

    pairs = read("llmbar/pairs.parquet", data.LLMBAR)
    assert len(pairs) == 885
    natural = [pair.target for pair in pairs if pair.source == "Natural"]
    assert sum(natural) == 42 and len(natural) == 100
    esnli = read("esnli/dev.parquet", data.ESNLI)
    assert len(esnli) == 9842 and all(len(question.explanations) == 3 for question in esnli[:100])
    anli = read("anli_dev/dev.parquet", data.ANLI)
    assert len(anli) == 3198 and len({question.group for question in anli}) == 2841
    cose = read("csqa_cose/dev.parquet", data.CSQA_COSE)
    assert len(cose) == 1221 and all(len(question.options) == 5 and question.explanations for question in cose)
    assert {question.answer for question in read("csqa_cose/test.parquet", data.CSQA_COSE)} == {None}
    book = read("openbookqa/test.parquet", data.OPENBOOKQA)
    assert collections.Counter(question.answer for question in book) == {0: 138, 1: 126, 2: 132, 3: 104}
    strategy = read("strategyqa/dev.parquet", data.STRATEGYQA)
    assert collections.Counter(question.answer for question in strategy) == {0: 107, 1: 122}
    # 157 of its rows share a term with a training row, so a split is by term.
    split = data.split_questions(strategy, num_demonstrations=48, num_test=100, seed=0)
    assert not {q.group for q in split.demonstrations} & {q.group for q in split.test}
