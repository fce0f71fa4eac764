"""Every layout is recognised from its rows, says what it saw, and gives the records that its columns mean."""

import pytest

from jaxalign import data
from tests.data.readers.asked import ANSWERED, ASKED, CHAT_PAIR, PAIR, SHAREGPT, A, H, assistant, record, texts, user

# name of the layout, rows, the records derived by hand
RECOGNISED = {
    "pairs": ("pairs", [{"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}], [PAIR]),
    "pairs by other names": (
        "pairs",
        [{"question": "1 + 1?", "response_chosen": "2", "response_rejected": "3", "question_id": 7}],
        [record(id="7")],
    ),
    "pairs after a system message": (
        "pairs",
        [{"system": "Count.", "question": "1 + 1?", "chosen": "2", "rejected": "3"}],
        [record(({"role": "system", "content": "Count."}, user("1 + 1?")))],
    ),
    "TRL's conversational pairs": (
        "conversational pairs",
        [{"prompt": ASKED, "chosen": [assistant("2")], "rejected": [assistant("3")]}],
        [CHAT_PAIR],
    ),
    "pairs after ShareGPT's turns": (
        "conversational pairs",
        [{"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1], "rejected": {"from": "gpt", "value": "3"}}],
        [CHAT_PAIR],
    ),
    "TRL's implicit prompt": (
        "implicit-prompt pairs",
        [{"chosen": ANSWERED, "rejected": [*ASKED, assistant("3")]}],
        [CHAT_PAIR],
    ),
    "TRL's implicit prompt of texts": (
        "implicit-prompt pairs",
        [{"chosen": "The sky is blue.", "rejected": "The sky is black."}, {"chosen": "1 + 1 = 2", "rejected": "1 + 1"}],
        [record("The sky is", (" blue.", " black.")), record("1 + 1", (" = 2", ""))],
    ),
    "UltraFeedback, binarized": (
        "implicit-prompt pairs",
        [
            {
                "prompt": "1 + 1?",
                "prompt_id": "a",
                "chosen": ANSWERED,
                "rejected": [*ASKED, assistant("3")],
                "messages": ANSWERED,
                "score_chosen": 8.0,
                "score_rejected": 2.0,
            }
        ],
        [record(tuple(ASKED), id="a")],
    ),
    "HH-RLHF": (
        "transcripts",
        [{"chosen": f"{H}1 + 1?{A}2", "rejected": f"{H}1 + 1?{A}3"}],
        [CHAT_PAIR],
    ),
    "HH-RLHF with a prompt": (
        "transcripts",
        [{"prompt": f"{H}1 + 1?\n\nAssistant:", "chosen": "2", "rejected": "3"}],
        [CHAT_PAIR],
    ),
    "KTO": (
        "unpaired",
        [
            {"prompt": "1 + 1?", "completion": "2", "label": True},
            {"prompt": "1 + 1?", "completion": "3", "label": False},
        ],
        [record(responses=("2",), labels=(1.0,)), record(responses=("3",), labels=(0.0,))],
    ),
    "KTO of messages": (
        "unpaired",
        [{"prompt": ASKED, "completion": [assistant("2")], "label": True}],
        [record(tuple(ASKED), ("2",), (1.0,))],
    ),
    "lists with labels": (
        "labelled lists",
        [{"prompt": "1 + 1?", "responses": ["2", "3", "4"], "labels": [1, 0.5, 0]}],
        [record(responses=("2", "3", "4"), labels=(1, 0.5, 0))],
    ),
    "lists with ranks": (
        "ranked lists",  # of two the best beats itself by half and the other one
        [{"prompt": "1 + 1?", "responses": ["3", "2"], "ranks": [2, 1]}],
        [record(responses=("3", "2"), labels=(0.25, 0.75))],
    ),
    "objects with ranks": (
        "ranked lists",
        [{"prompt": "1 + 1?", "answers": [{"answer": "2", "model": "x", "rank": 1.0}, {"answer": "3", "rank": 2.0}]}],
        [PAIR],
    ),
    "lists of answers to transcripts": (
        "ranked lists",
        [{"prompt": f"{H}1 + 1?\n\nAssistant: ", "answers": ["2", "3"], "ranks": [1, 2]}],
        [CHAT_PAIR],
    ),
    "lists with scores": (
        "scored lists",  # the lowest in both rows is -1, the highest 3
        [
            {"prompt": "1 + 1?", "responses": ["2", "3"], "scores": [3, 0]},
            {"prompt": "1 + 1?", "responses": ["2", "3"], "scores": [1, -1]},
        ],
        [record(labels=(1.0, 0.25)), record(labels=(0.5, 0.0))],
    ),
    "scores that are labels": (
        "scored lists",
        [texts(responses=["2", "3"], scores=[0.5, 0.25])],
        [record(labels=(0.5, 0.25))],
    ),
    "UltraFeedback": (
        "scored lists",  # from 1 to 5: (4.5 - 1) / 4 and (2 - 1) / 4
        [
            {
                "instruction": "1 + 1?",
                "completions": [
                    {"response": "2", "overall_score": 9.0, "fine-grained_score": 4.5},
                    {"response": "3", "overall_score": 10.0, "fine-grained_score": 2.0},
                ],
            }
        ],
        [record(labels=(0.875, 0.25))],
    ),
    "UltraFeedback, overall": (
        "scored lists",  # from 1 to 10
        [{"instruction": "1 + 1?", "completions": {"response": ["2", "3"], "overall_score": [10.0, 5.5]}}],
        [record(labels=(1.0, 0.5))],
    ),
    "UltraFeedback's annotations": (
        "scored lists",  # averages 4 and 2 of 1 to 5
        [
            {
                "instruction": "1 + 1?",
                "completions": [
                    {"response": "2", "annotations": {"honesty": {"Rating": "5"}, "helpfulness": {"Rating": "3"}}},
                    {"response": "3", "annotations": {"honesty": {"Rating": "2"}, "helpfulness": {"Rating": "N/A"}}},
                ],
            }
        ],
        [record(labels=(0.75, 0.25))],
    ),
    "long form": (
        "responses",
        [
            {"prompt_id": "a", "prompt": "1 + 1?", "response": "2", "preference": 0.75},
            {"prompt_id": "b", "prompt": "2 + 2?", "response": "4", "preference": 1.0},
            {"prompt_id": "a", "prompt": "1 + 1?", "response": "3", "preference": 0.25},
        ],
        [record(id="a"), record("2 + 2?", ("4",), (1.0,), id="b")],
    ),
    "long form without an id": (
        "responses",  # from 1 to 5
        [
            {"prompt": "1 + 1?", "response": "2", "score": 5},
            {"prompt": "1 + 1?", "response": "3", "score": 1},
            {"prompt": "1 + 1?", "response": "4", "score": 2},
        ],
        [record(responses=("2", "3", "4"), labels=(1.0, 0.0, 0.25), id="1 + 1?")],
    ),
    "long form, right or wrong": (
        "responses",
        [
            {"id": 1, "prompt": "1 + 1?", "response": "2", "label": True},
            {"id": 1, "prompt": "1 + 1?", "response": "3", "label": False},
        ],
        [record(labels=(1.0, 0.0), id="1")],
    ),
    "prompts and completions": (
        "demonstrations",
        [{"prompt": ASKED, "completion": [assistant("2")]}],
        [record(tuple(ASKED), ("2",), (1.0,))],
    ),
    "numbers that compare nothing": (
        "demonstrations",
        [{"prompt": "1 + 1?", "response": "2", "score": 4}, {"prompt": "2 + 2?", "response": "4", "score": 5}],
        [record(responses=("2",), labels=(1.0,)), record("2 + 2?", ("4",), (1.0,))],
    ),
    "Alpaca": (
        "demonstrations",
        [
            {"instruction": "Add.", "input": "1, 1", "output": "2"},
            {"instruction": "Be.", "input": "", "output": "I."},
        ],
        [record("Add.\n\n1, 1", ("2",), (1.0,)), record("Be.", ("I.",), (1.0,))],
    ),
    "Dolly": (
        "demonstrations",
        [{"instruction": "Add.", "context": "1, 1", "response": "2", "category": "sums"}],
        [record("Add.\n\n1, 1", ("2",), (1.0,))],
    ),
    "input and output": (
        "demonstrations",
        [{"input": "1 + 1?", "output": "2"}],
        [record(responses=("2",), labels=(1,))],
    ),
    "messages": ("conversations", [{"messages": ANSWERED}], [record(tuple(ASKED), ("2",), (1.0,))]),
    "ShareGPT": ("conversations", [{"conversations": SHAREGPT}], [record(tuple(ASKED), ("2",), (1.0,))]),
    "ShareGPT, field by field": (
        "conversations",
        [{"conversations": {"from": ["human", "gpt"], "value": ["1 + 1?", "2"]}}],
        [record(tuple(ASKED), ("2",), (1.0,))],
    ),
}
KINDS = {"unpaired": "unpaired", "demonstrations": "demonstrations", "conversations": "demonstrations"}


@pytest.mark.parametrize("case", RECOGNISED)
def test_recognised_and_read(case):
    name, rows, records = RECOGNISED[case]
    layout = data.recognise(rows)
    assert (layout.name, layout.kind) == (name, KINDS.get(name, "preferences"))
    assert layout.group_by_id == (name == "responses") and name in data.LAYOUTS
    assert data.read_rows(rows, layout.row_fn, group_by_id=layout.group_by_id).records == records


def test_every_layout_is_among_the_cases():
    assert {name for name, _, _ in RECOGNISED.values()} == set(data.LAYOUTS)


SEEN = {
    "UltraFeedback, binarized": "implicit-prompt pairs: prompt is 'prompt' (texts), chosen is 'chosen' (lists of "
    "messages), rejected is 'rejected' (lists of messages), id is 'prompt_id' (texts); not used: messages, "
    "score_chosen, score_rejected",
    "lists with scores": "'scores' is rescaled from [-1, 3] to [0, 1]",
    "scores that are labels": "'scores' has numbers in [0, 1], which are the labels",
    "UltraFeedback": "'fine-grained_score' its score; 'completions.fine-grained_score' is rescaled from [1, 5] to "
    "[0, 1], the scale of UltraFeedback",
    "long form": "rows of one 'prompt_id' are a list",
    "long form without an id": "'score' is rescaled from [1, 5] to [0, 1]; rows of one 'prompt' are a list",
    "numbers that compare nothing": "not used: score",
    "Alpaca": "a prompt is 'instruction', a blank line and 'input', where that is not empty",
    "TRL's implicit prompt of texts": "the prompt is what both begin with, up to the last blank",
}


@pytest.mark.parametrize("case", SEEN)
def test_what_was_seen_is_said(case):
    assert SEEN[case] in data.recognise(RECOGNISED[case][1]).seen


def test_the_range_of_scores_is_that_of_all_rows_and_not_of_the_first_ones():
    rows = [{"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]}] * 150
    rows.append({"prompt": "p", "responses": ["a", "b"], "scores": [0, 4]})
    layout = data.recognise(iter(rows))
    assert data.read_rows(rows, layout.row_fn).records[0].labels == (0.25, 0.5)


def test_ids_that_occur_again_late_make_lists():
    rows = [{"id": n % 120, "prompt": f"{n % 120}", "response": "a", "label": n % 2} for n in range(121)]
    assert data.recognise(rows).name == "responses"
    assert data.recognise(rows[:120]).name == "unpaired"


def test_answers_of_no_weight_are_not_learnt():
    def rows(weight):
        return [{"conversations": [SHAREGPT[0] | {"weight": 0.0}, SHAREGPT[1] | {"weight": weight}]}]

    layout = data.recognise(rows(1.0))
    assert len(data.read_rows(rows(1.0), layout.row_fn).records) == 1
    with pytest.raises(ValueError, match="conversations, message 1: weight is 0.0, which cannot be rendered"):
        data.read_rows(rows(0.0), layout.row_fn)


def test_a_bad_row_does_not_change_the_layout():
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}] * 3 + [{"prompt": None, "chosen": [], "rejected": 1}]
    layout = data.recognise(rows[::-1])
    assert layout.name == "pairs"
    assert data.read_rows(rows, layout.row_fn, skip_bad_rows=True).report[:2] == (4, 1)
