"""Learning which of two models to ask from recorded outcomes, at toy size, and on the files if they are here."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from experiments.echolm import outcome_routers, outcomes

EASY, HARD = "How many pears are in basket number", "Prove that a theorem about fields holds for prime"


def made(number):
    """Hard questions, every other one, are answered by the strong model alone; easy ones by both."""
    hard = np.arange(number) % 2 == 1
    prompts = tuple(f"{HARD if difficult else EASY} {n}." for n, difficult in enumerate(hard))
    return outcome_routers.Outcomes(prompts, 1.0 - hard, np.ones(number), np.where(hard, 9.0, 3.0)[:, None], 1 * hard)


def embed(texts):
    return np.asarray([[1.0, 0.2] if text.startswith(EASY) else [0.2, 1.0] for text in texts])


def write(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_equal_prompts_share_a_fold():
    folds = outcome_routers.folds_of(["a", "b", "a", "c", "d", "e", "b"], 0)
    assert folds[0] == folds[2] and folds[1] == folds[6]
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "learn",
    [
        outcome_routers.learn_words,
        outcome_routers.make_stacked(embed),
        outcome_routers.make_network(embed, steps=10),
    ],
    ids=["words", "stacked", "network"],
)
def test_a_learner_finds_what_only_the_strong_model_can_do(learn):
    train, test = made(60), made(64).take(np.arange(60, 64))
    scores = learn(train, test)
    assert min(scores[[1, 3]]) > max(scores[[0, 2]])
    # It looks at nothing but the prompts of what it routes.
    others = test._replace(weak=1 - test.weak, strong=1 - test.strong, hints=-test.hints, groups=1 - test.groups)
    np.testing.assert_array_equal(learn(train, others), scores)


def test_nothing_of_its_own_fold_is_learnt():
    data, seen = made(20), []

    def learn(train, test):
        assert not set(train.prompts) & set(test.prompts) and len(train.prompts) + len(test.prompts) == 20
        seen.extend(test.prompts)
        return np.asarray([float(prompt.rstrip(".").split()[-1]) for prompt in test.prompts])

    np.testing.assert_array_equal(outcomes.route(data, learn, seed=1), np.arange(20))
    assert sorted(seen) == sorted(data.prompts)


def test_figures_by_hand():
    # One of two items gains. The oracle closes the gap with the first half of the calls: area 1/4 and 1/2.
    found = outcomes.measure_scores(made(40), {"floor": np.zeros(40), "right": -made(40).weak}, num_resamples=50)
    table, compared = found.tables["routing"], found.tables["more than floor, paired"]
    assert list(table) == ["random", "floor", "right", "oracle"]
    assert [round(table[name]["APGR"].value, 5) for name in table] == [0.5, 0.5, 0.75, 0.75]
    assert [round(each.value, 5) for each in table["right"].values()] == [0.75, 0.25, 0.4, 0.75, 1.0]
    assert table["random"]["APGR"].low == pytest.approx(0.5) and table["right"]["APGR"].low < 0.75
    assert list(compared) == ["right"] and compared["right"]["APGR"].value == pytest.approx(0.25)
    np.testing.assert_allclose(found.curves["right"][1][[0, 10, 20, 40]], [0.5, 0.75, 1, 1])


def test_reading_leaves_contaminated_rows_out(tmp_path):
    row = {"mixtral_correct": False, "gpt4_correct": True, "mixtral_response": "It is 12.", "gpt4_response": "$4.50"}
    rows = [row | {"prompt": f"q{n}", "contaminated": n == 1} for n in range(3)]
    read = outcomes.read_outcomes(write(tmp_path / "a.parquet", rows))
    assert read.contaminated == 1 and read.outcomes.prompts == ("q0", "q2")
    np.testing.assert_array_equal(read.outcomes.weak, [0, 0])
    # The lengths of both answers, and that the strong one's number alone has a decimal fraction.
    np.testing.assert_allclose(read.outcomes.hints[0], [np.log(6), np.log(10), 1, 0])
    subjects = [{**row, "prompt": name, "subject": name, "contaminated": False} for name in "ba"]
    by_subject = outcomes.read_outcomes(write(tmp_path / "b.parquet", subjects)).outcomes
    assert by_subject.groups.tolist() == [1, 0] and by_subject.hints.shape == (2, 0)
    with pytest.raises(ValueError, match=r"missing are \['contaminated', 'prompt'\]"):
        outcomes.read_outcomes(write(tmp_path / "c.parquet", [row]))
    with pytest.raises(ValueError, match="expected rows that are not contaminated, got none among 1"):
        outcomes.read_outcomes(write(tmp_path / "d.parquet", [rows[1]]))


def test_the_recorded_outcomes(shared_data):
    read = outcomes.read_outcomes(shared_data / "routellm/gsm8k.parquet")
    weak, strong = read.outcomes.weak, read.outcomes.strong
    # Six contaminated rows of 949; the strong model alone is right in 287 of the others, the weak one alone in 67.
    assert (len(weak), read.contaminated) == (943, 6)
    assert (int(np.sum(strong > weak)), int(np.sum(weak > strong))) == (287, 67)
