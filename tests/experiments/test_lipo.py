"""experiments.lipo at toy size: every stage runs, a second call repeats nothing, the result is a transformers model."""

import dataclasses
import re

import jax
import numpy as np
import pytest
import transformers

from experiments.common import alpacaeval_task, machines, sequences
from experiments.common.stages import FineTuning
from experiments.common.task import Task
from experiments.lipo import __main__ as lipo
from experiments.lipo import choice, differences, noise, pipeline, relabel
from jaxalign.data import PreferenceRecord, encode_lists
from jaxalign.io import hf
from jaxalign.io.report import Estimate
from jaxalign.io.run.writers import read_metrics
from tests.experiments import long_form, toy_lipo
from tests.experiments.toy_lipo import TOY
from tests.processes import free_port, run_together

# Gloo, which connects the processes, writes to stdout from several threads at once, so that lines may be broken.
GLOO = re.compile(r"\[Gloo\]|peer ranks|Rank \d+ is|^[\s\d:.]*(?:is :[\s\d]*)?$")


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        toy_lipo.shrink(patch.setattr)
        yield


@pytest.fixture(scope="module", autouse=True)
def few_devices():
    """One experiment is laid out over all devices."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = dataclasses.replace(TOY, output=tmp_path_factory.mktemp("lipo"))
    return config, lipo.main(config)


def test_every_stage_leaves_its_results(finished):
    config, figures = finished
    assert {name.split("/")[0] for name in figures} == {"SFT", "softmax"}
    assert all(0 <= value <= 1 for value in figures.values())
    for stage, steps in (("sft", 1), ("softmax", 2)):
        rows = read_metrics(config.output / "seed-0" / stage)
        assert [row["step"] for row in rows] == list(range(1, steps + 1))
    report = (config.output / "report.html").read_text()
    assert "win rate against SFT" in report
    assert "Samples" in report


def test_a_second_call_trains_nothing_and_returns_the_same(finished):
    config, figures = finished
    curve = config.output / "seed-0" / "softmax" / "metrics.jsonl"
    before = curve.stat().st_mtime_ns
    assert lipo.main(config) == figures
    assert curve.stat().st_mtime_ns == before


def test_two_processes_train_sample_and_report_as_one(finished, tmp_path):
    codes, outputs, errors = start_two(tmp_path)
    assert codes == [0, 0], errors
    said = [[line for line in output.splitlines() if line and not GLOO.search(line)] for output in outputs]
    assert said[0][-1].startswith("report: ") and not said[1]  # process 0 speaks for both

    folders = tmp_path, finished[0].output  # two processes of two devices, and one of eight
    assert_same_curves(*folders)
    reports = [(folder / "report.html").read_text() for folder in folders]
    ours, theirs = (re.findall(r"<td[^>]*>.*?</td>", report, re.DOTALL) for report in reports)
    assert ours == theirs and len(ours) > 5
    exported = (hf.load_pretrained(folder / "seed-0" / "softmax" / "hf")[1] for folder in folders)
    for ours, theirs in zip(*map(jax.tree.leaves, exported), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def assert_same_curves(one, other):
    for stage in ("sft", "softmax"):
        rows, expected = (read_metrics(folder / "seed-0" / stage) for folder in (one, other))
        for name in ("loss", "tokens"):
            np.testing.assert_allclose([row[name] for row in rows], [row[name] for row in expected], rtol=1e-4)


def test_rows_may_be_split_over_devices(finished, tmp_path):
    """Prompts of 9 tokens are padded to 10 where two devices share a row."""
    with machines.launched_as(machines.Launch(mesh=(2, -1, 2, 1))):
        lipo.main(dataclasses.replace(finished[0], output=tmp_path))
    assert_same_curves(tmp_path, finished[0].output)


def start_two(output, flags_of_1=()):
    flags = ("--coordinator", f"localhost:{free_port()}", "--num-processes", 2, "--mesh", 2, 2, 1, 1)
    command = [toy_lipo.__file__, "--output", output, *flags, "--process-id"]
    return run_together([[*command, 0], [*command, 1, *flags_of_1]], devices=4)


def test_an_error_in_one_process_ends_all_with_its_message(tmp_path):
    codes, _, errors = start_two(tmp_path, ("--task", "alpacaeval"))
    assert codes == [1, 1]
    assert "ValueError: expected --data FOLDER with train.parquet" in errors[1]
    assert "process 0: process 1 of 2 failed: ValueError: expected --data FOLDER" in errors[0]


def test_the_export_loads_in_transformers(finished):
    directory = finished[0].output / "seed-0" / "softmax" / "hf"
    model, info = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info.values())
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    ids = tokenizer("reverse c a f =", return_tensors="pt").input_ids
    assert model(ids).logits.shape == (1, ids.shape[1], model.config.vocab_size)


def test_lists_can_be_packed(tmp_path):
    lipo.main(dataclasses.replace(TOY, num_prompts=32, batch=8, pack_tokens=48, output=tmp_path))
    rows = read_metrics(tmp_path / "seed-0" / "softmax")
    assert [row["step"] for row in rows] == [1, 2]
    assert all(0 < row["padding"] < 1 and np.isfinite(row["loss"]) for row in rows)


def test_real_lists_run_on_files_of_the_same_schema(tmp_path):
    folder = long_form.write(tmp_path / "data", long_form.rows(range(8)), long_form.rows(range(8, 11)))
    sizes = dict(size=(16, 1), sft=FineTuning(1, (8, 128)), steps=1, learning_rate=0.0, batch=8, list_size=3)
    config = dataclasses.replace(
        lipo.PRESETS["alpacaeval"],
        **sizes,
        data=folder,
        vocab_size=300,
        limits=(48, 64),
        output=tmp_path / "run",
    )
    figures = lipo.main(config)
    # Longer responses have higher labels here, so the rule is always right, and likelihood, which falls with each
    # token of an untrained model, always wrong.
    assert figures["longer wins/pairwise accuracy"] == 1
    assert figures["SFT/pairwise accuracy"] == 0
    assert 0 <= figures["lambda/Kendall tau"] + 1 <= 2
    # What was exported, after fine-tuning, is a model directory to start from; at rates of 0 it stays what it was.
    exported = config.output / "seed-0" / "lambda" / "hf"
    again = dataclasses.replace(
        config,
        model=str(exported),
        sft=FineTuning(1, (8, 128), sft_learning_rate=0.0),
        vocab_size=1,
        output=tmp_path / "again",
    )
    figures = lipo.main(again)
    assert figures["lambda/pairwise accuracy"] == 0.5
    (start, start_params), (end, end_params) = map(
        hf.load_pretrained, (exported, again.output / "seed-0" / "lambda" / "hf")
    )
    assert start == end
    jax.tree.map(np.testing.assert_array_equal, start_params, end_params)


def test_alpacaeval_without_data_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="expected --data FOLDER with train.parquet and validation.parquet, got None"):
        lipo.main(dataclasses.replace(lipo.PRESETS["alpacaeval"], output=tmp_path))


def test_spread_keeps_both_ends_of_a_ranking():
    record = alpacaeval_task.PreferenceRecord("q", tuple("abcdef"), (0.1, 0.9, 0.5, 0.3, 0.7, 0.2))
    kept = alpacaeval_task.spread_over_labels(record, 3)
    # Ranked: b e c d f a; even distances: places 0, 2 (2.5 rounds to even) and 5.
    assert kept.responses == ("b", "c", "a")
    assert kept.labels == (0.9, 0.5, 0.1)


def test_full_labels_by_a_trained_reward_model(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(pipeline.JUDGE, "batch", 8)
    config = dataclasses.replace(TOY, judge_steps=2, output=tmp_path)
    figures = lipo.main(config)
    assert {name.split("/")[0] for name in figures} == {"SFT", "softmax"}
    assert "of the pairs as the true labels do" in capsys.readouterr().out
    rows = read_metrics(tmp_path / "seed-0" / "judge")
    assert [row["step"] for row in rows] == [1, 2]


def test_agreement_counts_pairs_that_the_truth_orders():
    lists = encode_lists(
        [PreferenceRecord("=", ("a", "b", "c"), (0.9, 0.5, 0.5)), PreferenceRecord("=", ("a", "b"), (0.1, 0.2))],
        sequences.make_tokenizer(),
        max_prompt=4,
        max_response=4,
    )
    # Ordered pairs of the truth: 2 * 2 of the first list, 2 of the second; the new labels turn one of the three round.
    labels = np.array([[0.8, 0.9, 0.1], [0.1, 0.3, np.nan]], np.float32)
    assert relabel.agreement(labels, lists) == pytest.approx(4 / 6)


def test_decoded_lists_are_their_texts():
    records = [PreferenceRecord("reverse c a =", ("a c", "c", ""), (0.75, 0.5, 0.25))]
    tokenizer = sequences.make_tokenizer()
    assert relabel.decode(encode_lists(records, tokenizer, max_prompt=9, max_response=8), tokenizer) == records


def lists_of(*labels):
    """Lists with these labels, each of texts that differ."""
    records = [PreferenceRecord("=", tuple("abcdefghijkl"[: len(row)]), row) for row in labels]
    return encode_lists(records, sequences.make_tokenizer(), max_prompt=4, max_response=4)


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_labels_change_places_as_often_as_asked(chance):
    lists = lists_of(*(tuple(place / size for place in range(size)) for size in (2, 5, 8) for _ in range(300)))
    noisy = noise.swap_labels(lists, chance, np.random.default_rng(0))
    before, after = (np.split(each.labels, lists.list_starts[1:-1]) for each in (lists, noisy.lists))
    moved = sum((a != b).sum() for a, b in zip(before, after, strict=True)) / 2
    couples = 300 * (1 + 2 + 4)  # one of the five is left over
    assert noisy.swapped == moved / couples
    # Three standard deviations of a share of 2,100.
    assert abs(noisy.swapped - chance) <= 3 * np.sqrt(chance * (1 - chance) / couples)
    for a, b in zip(before, after, strict=True):  # labels stay in their list
        np.testing.assert_array_equal(np.sort(a), np.sort(b))
    assert noisy.lists.response_tokens is lists.response_tokens


class Tried:
    """Aligns nothing; each policy's figure is that of its setting and its loss."""

    def __init__(self):
        self.seeds, self.places = [], []

    def begin(self, config, seed, directory):
        self.seeds.append(seed)
        task = sequences_task(lambda policy, sft, key: {"win rate against SFT": Estimate(policy, policy, policy)})
        return pipeline.Start(seed, directory, task, 0.5, None, None, None)

    def align(self, config, start, labelled, loss, setting, place):
        self.places.append(place.name)
        return setting.beta / (1 + setting.learning_rate) if loss == "softmax" else -setting.beta


def sequences_task(evaluate):
    return Task(None, None, None, evaluate, lambda key: {}, None)


def test_each_loss_has_its_own_choice_on_seed_0_alone(monkeypatch, tmp_path):
    tried = Tried()
    monkeypatch.setattr(pipeline, "begin", tried.begin)
    monkeypatch.setattr(pipeline, "align", tried.align)
    monkeypatch.setattr(pipeline, "labelled_lists", lambda config, start, variant: variant)
    seen = {}
    monkeypatch.setattr(lipo, "run_seed", lambda config, seed, directory, settings: seen.update({seed: settings}))
    config = dataclasses.replace(
        TOY, losses=("softmax", "dpo"), betas=(0.5, 2.0, 1.0), rates=(0.25, 1.0), first_seed=1, seeds=2, output=tmp_path
    )
    settings, told = lipo.choose(config)
    assert tried.seeds == [0] and len(tried.places) == 2 * 6 == len(set(tried.places))
    # The first figure is beta / (1 + rate), the second -beta.
    assert settings == {"softmax": pipeline.Setting(2.0, 0.25), "dpo": pipeline.Setting(0.5, 0.25)}
    (lines,) = told.values()
    assert lines[0].startswith("softmax: beta 2, rate 0.25 (beta and learning rate at an end of the grid); of beta, ")
    assert "2, 0.25: 1.6000" in lines[0] and lines[1].startswith("dpo: beta 0.5, rate 0.25")
    with pytest.raises(ValueError, match="choose on seed 0, and the table begins with it; give --first-seed 1"):
        choice.check(dataclasses.replace(config, first_seed=0))


def test_one_setting_needs_no_choice():
    config = dataclasses.replace(TOY, betas=(0.25,), losses=("softmax", "dpo"))
    assert lipo.choose(config) == (dict.fromkeys(config.losses, pipeline.Setting(0.25, config.learning_rate)), {})


def test_differences_are_of_one_seed_and_one_kind_of_lists():
    def figures(**rates):
        return {name.replace("_K", ", K = "): {"win rate": Estimate(rate, 0, 1)} for name, rate in rates.items()}

    by_seed = [
        figures(SFT=0.5, lambda_K2=0.6, dpo_K2=0.5, lambda_K4=0.9, dpo_K4=0.5),
        figures(SFT=0.5, lambda_K2=0.2, dpo_K2=0.3, lambda_K4=0.3, dpo_K4=0.3),
    ]
    same_lists, first_lists = differences.tables(by_seed, ", K = 2").values()
    found = [{name: row["win rate"].value for name, row in table.items()} for table in (same_lists, first_lists)]
    # (-0.1 + 0.1) / 2 and (-0.4 + 0) / 2; (0.3 + 0.1) / 2 and (0 + 0) / 2; the SFT policy has no lists.
    assert found[0] == pytest.approx({"dpo, K = 2": 0.0, "dpo, K = 4": -0.2})
    assert found[1] == pytest.approx({"lambda, K = 4": 0.2, "dpo, K = 4": 0.0})


def test_lists_with_noise_join_the_run_that_is_there(finished, capsys):
    config, figures = finished
    values = lipo.main(dataclasses.replace(config, label_noise=(0.0, 1.0)))
    assert {name.split("/")[0] for name in values} == {"SFT", "softmax, noise 0", "softmax, noise 1"}
    for name in ("true reward", "perfect", "win rate against SFT"):
        assert values[f"softmax, noise 0/{name}"] == figures[f"softmax/{name}"]
    assert capsys.readouterr().out.count("100.0% of the couples of labels changed places") == 1


def test_lists_have_the_size_of_their_kind(finished):
    config, _ = finished
    both = dataclasses.replace(config, list_sizes=(config.list_size, 2))
    start = pipeline.begin(both, 0, config.output / "seed-0")
    kinds = [pipeline.labelled_lists(both, start, variant) for variant in pipeline.variants(both)]
    assert [set(np.diff(each.lists.list_starts)) for each in kinds] == [{3}, {2}]
    assert [each.directory.name for each in kinds] == ["seed-0", "size-2"]
    # The smaller list is the beginning of the larger one, so that sizes differ in nothing but what is left out.
    larger, smaller = (relabel.decode(each.lists, start.task.tokenizer) for each in kinds)
    assert [record.responses[:2] for record in larger] == [record.responses for record in smaller]
