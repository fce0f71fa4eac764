"""Comparisons of experiments.attrprompt by hand: costs, cuts at equal tokens, several labels, and what is drawn."""

import pytest

from experiments.attrprompt import comparison, figures
from experiments.attrprompt.comparison import (
    AGAINST_BEST,
    BY_COST,
    CONTROLS,
    DOLLARS,
    EQUAL_DOCUMENTS,
    EQUAL_TOKENS,
    Real,
    Texts,
    compare,
)
from experiments.attrprompt.methods import (
    ATTRPROMPT,
    METAPROMPT,
    SHUFFLED,
    SIMPROMPT,
    Sizes,
    Written,
    within,
    write_all,
)
from experiments.attrprompt.preparing import Asked
from experiments.attrprompt.storage import Row, Stage
from experiments.common.task import exactly
from jaxalign.attributes import Assignment, Document
from jaxalign.io.llm import Usage
from tests.attributes.tiny import TASK

LABELS = list(TASK.classes)


def row(number, tokens, text="a text", **took):
    label = LABELS[number % 3]
    document = Document(Assignment(label, number // 3), (label,), "hash", 0, text, "" if text else "refused")
    return Row(document, tokens, **took)


def written(count, tokens, *, stage=(0, 0, 0.0), text="a text", **took):
    """Documents of so many tokens each, behind a stage of (requests, tokens, dollars)."""
    requests, asked, cost = stage
    stages = [Stage(TASK, (), Usage(requests, asked, 0), cost)]
    return Written(TASK, [row(n, tokens, text, **took) for n in range(count)], stages)


REAL = Real(Texts(["r"] * 9, [("sport",)] * 9), Texts(["t"] * 3, [("sport",)] * 3))


def learn(headline="accuracy", seen=None):
    """Hundreds of texts are right."""

    def learn(train, test):
        if seen is not None:
            seen.append((train, test))
        return {headline: exactly(len(train.texts) / 100), "macro-F1": exactly(len(train.texts) / 200)}

    return learn


def test_stages_are_paid_before_documents_and_all_attempts_count():
    methods = {
        ATTRPROMPT: written(6, 10, stage=(4, 40, 0.5), cost=0.25, requests=2),
        SIMPROMPT: written(24, 5, cost=0.125),
        METAPROMPT: written(18, 5, stage=(2, 70, None), cost=0.125),
    }
    tables = compare(methods, REAL, learn(), ["sports"], 6)
    row = tables[EQUAL_TOKENS][ATTRPROMPT]
    assert {name: each.value for name, each in row.items()} == {
        "accuracy": 0.06, "macro-F1": 0.03, "texts": 6, "requests": 4 + 2 * 6, "tokens": 100, DOLLARS: 0.5 + 6 * 0.25,
    }  # fmt: skip
    assert tables[EQUAL_TOKENS][SIMPROMPT]["tokens"].value == 100 == 5 * tables[EQUAL_TOKENS][SIMPROMPT]["texts"].value
    row = tables[EQUAL_TOKENS][
        METAPROMPT
    ]  # 70 tokens for its stage, then 6 documents; nobody knows what the stage cost
    assert row["texts"].value == 6 and row["requests"].value == 8 and DOLLARS not in row
    assert tables[EQUAL_DOCUMENTS][SIMPROMPT]["tokens"].value == 30
    assert tables[EQUAL_TOKENS][comparison.GOLD]["texts"].value == 6
    assert tables[CONTROLS][EQUAL_TOKENS]["accuracy"].value == pytest.approx(0.06 - 0.2)
    last = tables[BY_COST][AGAINST_BEST]
    assert last["accuracy"].value == pytest.approx(0.06 - 0.24) and last["requests"].value == 16 / 24


def test_a_method_whose_stages_take_everything_has_no_figures():
    methods = {ATTRPROMPT: written(6, 10), METAPROMPT: written(6, 5, stage=(1, 56, 0.0))}
    tables = compare(methods, REAL, learn(), [], 6)
    row = {name: each.value for name, each in tables[EQUAL_TOKENS][METAPROMPT].items() if name != DOLLARS}
    assert row == {"texts": 0, "requests": 1, "tokens": 56}
    assert within(methods[METAPROMPT], 60) == [] and within(methods[METAPROMPT], 61) == methods[METAPROMPT].rows[:1]
    assert CONTROLS not in tables


def test_several_labels_are_compared_by_micro_f1():
    tables = compare({ATTRPROMPT: written(6, 10), SIMPROMPT: written(12, 5)}, REAL, learn("micro-F1"), [], 6)
    assert tables[CONTROLS][EQUAL_DOCUMENTS] == {"micro-F1": exactly(0.0), "macro-F1": exactly(0.0)}
    (curve,) = figures.cost_curve(tables[BY_COST])
    assert curve.y_label == "micro-F1 on real texts"
    assert curve.series == {SIMPROMPT: ([6, 12], [0.06, 0.12]), ATTRPROMPT: ([2, 3, 6], [0.02, 0.03, 0.06])}
    assert figures.cost_curve({}) == []


def test_names_are_masked_in_texts_to_learn_from_and_to_test_on():
    seen, named = [], "of sports"
    real = Real(Texts((), ()), Texts([named], [("sport",)]))
    compare(
        {name: written(6, 10, text=named) for name in (ATTRPROMPT, SIMPROMPT)}, real, learn(seen=seen), ["sports"], 6
    )
    pairs = {(train.texts[0], test.texts[0]) for train, test in seen}
    assert pairs == {(named, named), ("of x", "of x")}


@pytest.mark.parametrize(
    ("first", "last", "sizes"), [(300, 5400, [300, 1200, 5400]), (6, 6, [6]), (6, 11, [6, 11]), (6, 48, [6, 24, 48])]
)
def test_sizes_of_the_curve(first, last, sizes):
    assert comparison._growing(first, last) == sizes


class Store:
    """Documents of so many tokens; ``begun`` says how many a part was begun with."""

    def __init__(self, tokens, begun=None):
        self.tokens, self.parts, self.asked = tokens, begun or {}, {}

    def stage(self, name, before, make, *, settings, after=""):
        return Stage(before, (), Usage(1, 60, 0))

    def documents(self, method, requests, *, part=""):
        self.asked[method + part] = list(requests)
        tokens = self.tokens[method](part) if callable(self.tokens[method]) else self.tokens[method]
        return [row(n, tokens)._replace(requests=1) for n in range(len(requests))]

    def begun(self, method, part):
        return self.parts.get(method + part, 0)


def counts(store):
    return {name: len(requests) for name, requests in store.asked.items()}


def test_others_go_on_to_as_many_tokens():
    store = Store({ATTRPROMPT: 20, SIMPROMPT: lambda part: 5 if part else 10})
    write_all(store, TASK, (SIMPROMPT,), Asked(), Sizes(2))
    # AttrPrompt takes 3 stages of 60 and 6 documents of 20: 300 tokens. SimPrompt takes 6 of 10; of 240 tokens
    # 30 a round give 8 rounds, which take 15 each; of 120 tokens 18 a round give 7, and of 15 tokens 16.8 give 1.
    assert counts(store) == {
        ATTRPROMPT: 6, SIMPROMPT: 6, f"{SIMPROMPT}-more": 24, f"{SIMPROMPT}-more-2": 21, f"{SIMPROMPT}-more-3": 3,
    }  # fmt: skip
    numbers = [request.assignment.number for name, each in store.asked.items() if SIMPROMPT in name for request in each]
    assert numbers == [n for n in range(18) for _ in range(3)]
    draws = [request.draw for name, each in store.asked.items() if SIMPROMPT in name for request in each]
    assert draws == numbers  # of equal prompts


def test_a_part_that_was_begun_keeps_its_requests():
    store = Store({ATTRPROMPT: 20, SIMPROMPT: 10}, begun={f"{SIMPROMPT}-more": 3})
    write_all(store, TASK, (SIMPROMPT,), Asked(), Sizes(2, simple=12))
    assert counts(store) == {ATTRPROMPT: 6, SIMPROMPT: 6, f"{SIMPROMPT}-more": 3, f"{SIMPROMPT}-more-2": 27}


def test_shuffled_requests_have_the_first_ones_of_more():
    few, many = Store({ATTRPROMPT: 20, SHUFFLED: 20}), Store({ATTRPROMPT: 20, SHUFFLED: 20})
    write_all(few, TASK, (SHUFFLED,), Asked(), Sizes(4))
    write_all(many, TASK, (SHUFFLED,), Asked(), Sizes(9))
    assert few.asked[SHUFFLED] == many.asked[SHUFFLED][:12]
    for name, other in ((ATTRPROMPT, SHUFFLED), (SHUFFLED, ATTRPROMPT)):
        values = [sorted(str(each.assignment.values) for each in many.asked[key]) for key in (name, other)]
        assert values[0] != values[1]
    styles = [
        sorted(dict(each.assignment.values)["style"] for each in many.asked[key]) for key in (ATTRPROMPT, SHUFFLED)
    ]
    assert styles[0] == styles[1]
