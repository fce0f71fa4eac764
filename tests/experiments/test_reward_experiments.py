"""experiments.rrm and experiments.reward_model at toy size: every stage runs, figures are there, exports load."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import transformers

from experiments import reward_model
from experiments.common import sequences
from experiments.common.rewards import figures, real_lists, sequence_world, stages
from experiments.common.rewards.stages import Pretraining
from experiments.common.rewards.task import Artifact, Opinion
from experiments.rrm import __main__ as rrm
from experiments.rrm import variants
from jaxalign import data
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.io.report import Estimate
from jaxalign.io.run.writers import read_metrics
from tests.experiments import long_form

TOY = dict(size=(16, 1), num_pairs=32, pretraining=Pretraining(1, (8, 64)), steps=1, batch=32, seeds=1)


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    monkeypatch.setattr(sequence_world, "NUM_TEST", 8)
    monkeypatch.setattr(sequence_world, "DEMONSTRATIONS", 64)
    monkeypatch.setattr(stages, "BATCH", 8)


def test_rrm_trains_both_and_repeats_nothing(tmp_path, capsys):
    sizes = TOY | {"steps": 2, "batch": 16, "first_seed": 3}
    names = ("RM", "RRM", "RM in RRM's steps")
    config = dataclasses.replace(
        rrm.PRESETS["default"], **sizes, variants=names, rates=(0.5,), share=0.2, output=tmp_path
    )
    values = rrm.main(config)
    triplets = int(re.search(r"RRM: 32 pairs and (\d+) triplets", capsys.readouterr().out).group(1))
    rules = {name.split("/")[1] for name in values}
    assert rules == {"longer wins", "random", *(f"{name}, artifact in 50%" for name in names)}
    # RM sees each original once in 2 steps of 16; RRM, and RM in its steps, take as many more as RRM sees more.
    longer = round(2 * (32 + triplets) / 32)
    assert longer > 2
    steps = {name: read_metrics(tmp_path / "seed-3" / f"{rrm.folder_name(name)}-0.5")[-1]["step"] for name in names}
    assert steps == {"RM": 2, "RRM": longer, "RM in RRM's steps": longer}
    assert all(0 <= value <= 1 for value in values.values())
    assert "Choices that the artifact changes" in (tmp_path / "report.html").read_text()
    curve = tmp_path / "seed-3" / "RRM-0.5" / "metrics.jsonl"
    before = curve.stat().st_mtime_ns
    assert rrm.main(config) == values
    assert curve.stat().st_mtime_ns == before


def test_reward_model_trains_every_kind(tmp_path):
    config = dataclasses.replace(reward_model.PRESETS["pairwise"], **TOY, verdict_steps=1, output=tmp_path)
    values = reward_model.main(config)
    assert {name.split("/")[1] for name in values} == {"longer wins", "random", *config.kinds}
    # A scalar model judges each response by itself, so that order cannot matter.
    assert values["plain/bradley-terry/swap consistency"] == 1
    assert all(0 <= value <= 1 for value in values.values())
    scalar, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "seed-0" / "listwise" / "hf", output_loading_info=True
    )
    assert not any(info.values())
    assert scalar.config.num_labels == 1


def test_unknown_kinds_are_named(tmp_path):
    config = dataclasses.replace(reward_model.PRESETS["default"], kinds=("oracle",), output=tmp_path)
    with pytest.raises(ValueError, match=r"unknown kinds \['oracle'\]; there are bradley-terry, listwise, pairwise"):
        reward_model.main(config)


def test_the_world_plants_the_artifact_in_the_share_asked_for():
    pairs = [PreferencePair("sort b a =", "a b", "b a", target) for target in (1.0, 0.0, 0.5) * 20]
    marked = variants.with_artifact(pairs, Artifact("sure"), jax.random.key(0), base_rate=0.0, rate=0.25)
    # 40 of the 60 are no ties; a quarter of these is 10, and it is the chosen response that is marked.
    assert sum(new.chosen.startswith("sure ") for new in marked) == 10
    assert not any(new.rejected.startswith("sure ") for new in marked)
    assert [new for new, old in zip(marked, pairs, strict=True) if old.is_tie] == [p for p in pairs if p.is_tie]


def test_the_artifact_at_its_base_rate_says_nothing_and_stands_once():
    pairs = [PreferencePair("sort b a =", "a b", "b a", target) for target in (1.0, 0.0) * 1000]
    plant = functools.partial(variants.with_artifact, pairs, Artifact("sure", "end"), jax.random.key(0), base_rate=0.1)
    ends = lambda texts: np.mean([text.endswith(" sure") for text in texts])  # noqa: E731
    for rate, of_chosen in ((0.0, 0.1), (0.3, 0.1 + 0.9 * 0.3)):
        marked = plant(rate=rate)
        # Of 2,000 draws at 0.1 and at 0.37 the standard errors are below 0.011.
        assert abs(ends([pair.chosen for pair in marked]) - of_chosen) < 0.03
        assert abs(ends([pair.rejected for pair in marked]) - 0.1) < 0.03
        assert not any("sure sure" in text for pair in marked for text in (pair.first, pair.second))


def test_the_true_reward_does_not_know_the_artifact():
    task = sequence_world.make_task(seed=0, num_pairs=32, limits=(9, 9))
    plain, marked = task.tests["plain"], task.tests["artifact at random"]
    assert [record.labels for record in plain] == [record.labels for record in marked]
    texts = [text for record in marked for text in record.responses]
    assert 0.3 < np.mean([text.endswith(" sure") for text in texts]) < 0.7
    assert [r.removesuffix(" sure") for r in texts] == [r for record in plain for r in record.responses]
    assert all(pair.target == 1 and "sure" not in pair.first for pair in task.pairs)


def test_losers_are_on_topic_so_that_triplets_tell_the_truth():
    """What RRM presumes: under its own prompt even a loser is better than a response to another one."""
    task = sequence_world.make_task(seed=0, num_pairs=512, limits=(9, 9))
    (chunk,) = data.TripletChunks(task.pairs, seed=0, share=1.0)
    rewards = []
    for pair in data.TripletPairs(task.pairs, chunk.triplets):
        own, foreign = (pair.first, pair.second) if pair.target == 1 else (pair.second, pair.first)
        if pair.target != 0.5 and own in {p.second for p in task.pairs if p.prompt == pair.prompt}:
            answer = sequences.answer_to(pair.prompt)
            rewards.append([sequences.true_reward(text, answer) for text in (own, foreign)])
    own, foreign = np.transpose(rewards)
    assert len(own) > 1500  # four a prompt, but for those whose loser reads like a foreign response
    assert np.mean(own <= foreign) < 0.06  # contradicted or tied; 0.42 when losers had any number of letters wrong
    assert min(own) > 0


def test_variants_see_what_they_say():
    pairs = [PreferencePair(f"sort {x} =", x, f"{x} {x}", 1.0) for x in "abcdef"]
    never_sure = lambda asked: np.full(len(asked), 0.5, np.float32)  # noqa: E731

    def targets(variant, probabilities=never_sure):
        seen = variants.training_pairs(variant, pairs, probabilities, share=1.0, threshold=0.2, seed=0)
        return sorted(seen[n].target if seen[n].target == 0.5 else 1.0 for n in range(len(seen)))

    assert targets("originals") == [1.0] * 6
    # Unsure everywhere: ties are exactly right and leave, decided triplets stay: 8 of each example.
    assert targets("RRM") == [1.0] * (6 + 8 * 6)
    assert targets("no filter") == [0.5] * 6 * 6 + [1.0] * (6 + 8 * 6)
    assert targets("no neutral") == [1.0] * (6 + 8 * 6)
    assert targets("filter only") == [1.0] * 12
    # A model that is sure of the first everywhere: of the originals nothing is informative.
    assert targets("filter only", lambda asked: np.ones(len(asked), np.float32)) == [1.0] * 6


def test_a_rule_gets_its_figures_by_hand():
    # Responses of 2, 1 and 3 characters with labels 0.9, 0.5, 0.45: pairs with a gap of 0.1 are (0, 1) and (0, 2).
    records = [PreferenceRecord("q", ("aa", "b", "ccc"), (0.9, 0.5, 0.45))]
    marked = [figures.with_artifact(record, Artifact("sure")) for record in records]
    row = figures.figures(figures.longer_wins(records), figures.longer_wins(marked), records)
    assert row["accuracy"].value == 0.5
    # The phrase makes any response the longest: of six ordered pairs the three that had lost change.
    assert row["choice changed"].value == 0.5
    assert "ECE" not in row
    # The longest of one is any; of two it is the first once and the third twice.
    best = figures.best_of_n_figures(figures.longer_wins(records), records)
    assert {name: round(figure.value, 4) for name, figure in best.items()} == {"n = 1": 0.6167, "n = 2": 0.6}


def test_evaluation_asks_each_judge_about_every_test(tmp_path):
    task = sequence_world.make_task(seed=0, num_pairs=32, limits=(9, 9))
    pairs = [PreferenceRecord("q", ("aa", "b"), (1.0, 0.0))]
    asked = []

    def oracle(records):
        asked.append(len(records))
        scores = np.array([record.labels for record in records], np.float32)
        return Opinion(scores, np.float32(scores[:, :, None] > scores[:, None, :]))

    tables, reliability = figures.evaluate(
        task._replace(tests={"lists": task.tests["plain"], "pairs": pairs}), {"o": oracle}
    )
    assert asked == [8, 8, 1, 1]
    assert list(tables) == ["lists", "lists: true label of the best of n by each rule", "pairs"]
    assert tables["lists"]["o"]["accuracy"].value == tables["pairs"]["o"]["accuracy"].value == 1
    assert tables["lists"]["o"]["ECE"].value == 0
    assert tables["lists"]["o"]["choice changed"].value == 0
    best = [figure.value for figure in tables["lists: true label of the best of n by each rule"]["o"].values()]
    assert best == sorted(best) and len(best) == 4
    assert [section.title for section in figures.sections(tables, reliability)] == [
        "lists: reliability",
        "lists: true label of the best of n by each rule",
    ]


def test_calibration_and_swap_consistency_by_hand():
    records = [PreferenceRecord("q", ("a", "b"), (1.0, 0.0))]
    # Whichever is shown first wins, with 0.9 and with 0.6, and the better one is the first: gaps of 0.1 and of 0.6.
    row = figures.chance_figures(np.array([[[0.5, 0.9], [0.6, 0.5]]], np.float32), records)
    assert row["swap consistency"].value == 0
    np.testing.assert_allclose(row["ECE"].value, (0.1 + 0.6) / 2, rtol=1e-6)


def real_files(folder):
    long_form.write(folder / "lists", long_form.rows(range(8)), long_form.rows(range(3)))
    (folder / "llmbar").mkdir()
    judged = [
        {"subset": s, "idx": 0, "input": "Say a.", "output_1": "a", "output_2": "bb", "label": 1} for s in ("N", "M")
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(judged), folder / "llmbar" / "pairs.parquet")
    (folder / "hh_harmless").mkdir()
    human = [{"id": "0", "prompt": "Hello", "chosen": "Hi", "rejected": "No", "turns": 1}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(human), folder / "hh_harmless" / "validation.parquet")


def test_real_lists_run_on_files_of_the_same_schema(tmp_path):
    real_files(tmp_path / "data")
    config = dataclasses.replace(
        rrm.PRESETS["alpacaeval"],
        **TOY | {"pretraining": Pretraining(1, (8, 128))},
        rates=(0.3,),
        share=0.1,
        data=tmp_path / "data" / "lists",
        vocab_size=300,
        limits=(48, 64),
        output=tmp_path / "run",
    )
    values = rrm.main(config)
    tests = {name.split("/")[0] for name in values}
    best = "validation prompts: true label of the best of n by each rule"
    assert tests == {"validation prompts", best, "HH harmless", "LLMBar N", "LLMBar M"}
    assert "LLMBar N/longer wins/length-matched" not in values  # it has no such pair
    assert values["validation prompts/longer wins/accuracy"] == 1
    assert values["LLMBar N/longer wins/accuracy"] == 0


def test_pairs_are_drawn_from_all_prompts_alike():
    records = [PreferenceRecord(f"q{n}", ("a", "b", "c"), (0.9, 0.5, 0.1)) for n in range(4)]
    records.append(PreferenceRecord("close", ("a", "b"), (0.5, 0.45)))
    pairs = real_lists.draw_pairs(records, 8, np.random.default_rng(0))
    assert sorted(pair.prompt for pair in pairs) == sorted(2 * ["q0", "q1", "q2", "q3"])
    assert len(real_lists.draw_pairs(records, 1000, np.random.default_rng(0))) == 12
    assert data.pairs_from_record(records[-1], min_gap=real_lists.MIN_GAP) == []


def test_gains_are_over_rm_of_the_same_pairs_and_seed():
    def figures(**accuracies):
        names = {"RM0": "RM, artifact in 0%", "RRM0": "RRM, artifact in 0%", "RM30": "RM, artifact in 30%"}
        rows = {names.get(key, key): {"accuracy": Estimate(value, 0, 1)} for key, value in accuracies.items()}
        return {"plain": {"longer wins": {"accuracy": Estimate(0.5, 0, 1)}, **rows}}

    (table,) = rrm.gains([figures(RM0=0.8, RRM0=0.7, RM30=0.1), figures(RM0=0.4, RRM0=0.7, RM30=0.2)]).values()
    # (-0.1 + 0.3) / 2, and half the width is t(1) = 12.706 times 0.2: one degree of freedom.
    assert table.keys() == {"RRM, artifact in 0%"}
    value, low, high = table["RRM, artifact in 0%"]["accuracy"]
    assert (value, high - value) == pytest.approx((0.1, 12.706 * 0.2), rel=1e-4) and high - value == pytest.approx(
        value - low
    )
