"""What examples do for a small model, with simulated models that know how much they should gain."""

import math
import re

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from experiments.echolm import small_model
from experiments.echolm.small_model import ALONE, CHOSEN, RANDOM, REUSE, Case, Study
from jaxalign.typing import OptionScore

TOPICS = ("pay bill", "play song", "book car")
ACCURACY, MORE = "accuracy of the small model", "paired differences"


def embed(texts):
    """A direction for each topic, and a little of the text's own number, so that there is one nearest."""
    rows = []
    for text in texts:
        topic = next(place for place, name in enumerate(TOPICS) if name.split()[1] in text)
        angle = int(re.search(r"\d+", text)[0]) / 100
        row = np.zeros(4)
        row[topic], row[3] = math.cos(angle), math.sin(angle)
        rows.append(row)
    return np.asarray(rows)


def case(topic, number):
    return Case(f"the {TOPICS[topic].split()[1]} number {number}", TOPICS[topic], TOPICS[topic])


STUDY = Study(
    asked=tuple(case(n % 3, 10 + n) for n in range(6)),
    pool=tuple(case(n % 3, 2 * n) for n in range(9)),
    names=TOPICS,
)


def most_shown(prompts, options):
    """Chooses the intent that most examples have, and the first one where there is none."""
    return [
        [OptionScore(float(prompt.count(f"Intent:{option}")) - 0.1 * place, 2) for place, option in enumerate(each)]
        for prompt, each in zip(prompts, options, strict=True)
    ]


def test_examples_are_the_nearest_ones_best_last():
    found = small_model.find_examples(STUDY, embed, count=2)
    assert list(found) == [ALONE, RANDOM, CHOSEN] and set(found[ALONE]) == {()}
    # Of bills, the pool has the numbers 0, 6 and 12; the first question is the bill number 10.
    assert [shown.text for shown in found[CHOSEN][0]] == ["the bill number 6", "the bill number 12"]
    assert all(len(set(shown)) == 2 for shown in found[RANDOM])
    assert found == small_model.find_examples(STUDY, embed, count=2)


def test_figures_of_intents_by_hand():
    tables = small_model.measure_intents(STUDY, embed, most_shown, count=3)
    right = {name: row["accuracy"].value for name, row in tables[ACCURACY].items()}
    # Alone it always says the first of three intents; three examples of the topic, or the nearest one, settle it.
    assert right[ALONE] == pytest.approx(1 / 3) and right[CHOSEN] == right[REUSE] == 1
    assert right[RANDOM] < 1
    assert tables[MORE][CHOSEN][f"more than {ALONE}"].value == pytest.approx(2 / 3)
    assert list(tables[MORE]) == [RANDOM, CHOSEN, REUSE]
    assert tables[ACCURACY][ALONE]["not read"].value == 0


def test_scores_that_nobody_can_read_are_counted_and_wrong():
    def broken(prompts, options):
        return [[OptionScore(math.nan, 2)] * len(each) for each in options]

    row = small_model.measure_intents(STUDY, embed, broken)[ACCURACY][CHOSEN]
    assert row["accuracy"].value == 0 and row["not read"].value == 1


def test_figures_of_sums_by_hand():
    numbers = ("7", "1,000", "2.50")
    asked = tuple(Case(f"the {TOPICS[n].split()[1]} number {n}", "", numbers[n]) for n in range(3))
    pool = tuple(Case(f"the {TOPICS[n].split()[1]} number 5", f"It is ${numbers[n]}.", "") for n in range(3))

    def generate(prompts, *, temperature, max_tokens, stop):
        assert temperature == 0 and "\nQuestion:" in stop
        # It repeats the number of the last example, if there is one.
        return [
            [f"So it is {each[-1]}"] if (each := re.findall(r"\$([\d.,]+)\.\n", chat[0]["content"])) else ["?"]
            for chat in prompts
        ]

    table = small_model.measure_sums(Study(asked, pool), embed, generate, count=1)[ACCURACY]
    assert table[ALONE]["accuracy"].value == 0 and table[ALONE]["not read"].value == 1
    assert table[CHOSEN]["accuracy"].value == table[REUSE]["accuracy"].value == 1
    assert table[CHOSEN]["not read"].value == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [("3 * $400 = $1,200.00.", "1200"), ("-2.50 and no more", "-2.5"), ("#### 18", "18"), ("none", ""), ("5-3", "3")],
)
def test_the_last_number(text, number):
    assert small_model.last_number(text) == number


def test_reading_intents_and_sums(tmp_path):
    def write(name, rows):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)

    rows = [
        {"text": f"{intent} {n}", "intent": intent, "domain": domain}
        for domain, intents in {"bank": ["pay_bill", "apr", "zelle"], "oos": ["oos"], "art": ["draw"]}.items()
        for intent in intents
        for n in range(3)
    ]
    write("train.parquet", rows)
    write("test.parquet", rows[::3])
    study = small_model.read_intents(tmp_path, questions=2)
    assert study.names == ("draw", "apr", "pay bill") and len(study.asked) == 2
    # Nine texts of three intents, without the two that are asked.
    assert len(study.pool) == 7 and not {each.text for each in study.asked} & {each.text for each in study.pool}
    row = {"gpt4_response": " It is 4. ", "answer": "4"}
    write("sums.parquet", [row | {"prompt": f"q{n}", "contaminated": n == 0} for n in range(5)])
    sums = small_model.read_sums(tmp_path / "sums.parquet", questions=1)
    assert len(sums.asked) == 1 and len(sums.pool) == 3 and sums.pool[0].answer == "It is 4."
    with pytest.raises(ValueError, match="got 4 and 0; ask for fewer questions"):
        small_model.read_sums(tmp_path / "sums.parquet", questions=9)
