"""experiments.align at toy size: it trains, exports, goes on after a kill, scores, and says what is wrong."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import peft
import pytest
import torch
import transformers

from experiments.align import __main__ as align
from experiments.align.settings import Config, Data
from experiments.common.stages import Adapter
from jaxalign import data
from jaxalign.io import hf
from jaxalign.io.run.writers import read_metrics
from tests.experiments import align_files, shared_align
from tests.experiments.killed_align import LIMITS, LOSS, config_of, ranked
from tests.processes import free_port, run_together

# peft asks transformers for it
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return align_files.save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return align_files.write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def finished(model, files, tmp_path_factory):
    config = ranked(model, files["ranked lists"], tmp_path_factory.mktemp("align") / "run")
    return config, align.main(config)


def test_it_learns_and_measures_before_and_after(finished):
    config, figures = finished
    rows = read_metrics(config.output / LOSS)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert abs(rows[0]["log_ratio"]) < 1e-3 < abs(rows[-1]["log_ratio"])  # it begins as its own reference
    assert rows[3]["eval/loss"] < rows[1]["eval/loss"]
    assert figures["start/pairwise accuracy"] == 0.5  # no implicit reward yet
    assert figures["aligned/pairwise accuracy"] > 0.5
    assert figures["longer wins/pairwise accuracy"] == pytest.approx(1.0)  # the better answers are longer
    nats = figures["aligned/nats per token"]
    assert figures["aligned/perplexity"] == pytest.approx(np.exp(nats), rel=1e-5)
    report = (config.output / "report.html").read_text()
    assert (
        "ranked lists: prompt is" in report
        and "before" in report
        and "after step 4" in report
        and "for models from scratch" in report
    )


def test_a_second_call_repeats_nothing(finished):
    config, figures = finished
    curve = config.output / LOSS / "metrics.jsonl"
    before = curve.stat().st_mtime_ns
    assert align.main(config) == figures
    assert curve.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds a run with other settings: beta"):
        align.main(dataclasses.replace(config, beta=0.7))


def test_the_model_loads_in_transformers_and_the_adapter_in_peft(finished, tmp_path):
    config, _ = finished
    directory = config.output / "hf"
    ours_config, params = hf.load_pretrained(directory)
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info.values())
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    chat = [align_files.user("over there")]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert ids == data.load_tokenizer(directory).encode_chat(chat)
    with torch.no_grad():
        merged = theirs(torch.tensor([ids])).logits.numpy()

    adapter = config.output / "adapter"
    base = transformers.AutoModelForCausalLM.from_pretrained(config.model)
    with torch.no_grad():
        plain = base(torch.tensor([ids])).logits.numpy()
        adapted = peft.PeftModel.from_pretrained(base, adapter)(torch.tensor([ids])).logits.numpy()
    np.testing.assert_allclose(adapted, merged, atol=2e-3)
    assert np.abs(plain - merged).max() > 0.01
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == config.model


def test_stored_log_probabilities_of_another_model_are_refused(finished, model, files, tmp_path):
    config = dataclasses.replace(finished[0], output=tmp_path / "run", samples=0)
    first = align.start.encode(
        config, align.reading.read(config, align.METHODS[LOSS]), align.start.load_tokenizer(config)
    )
    policy = align.start.load_start(config)
    align.start.reference_logps(config, align.METHODS[LOSS], first.train, policy)
    (stored,) = (config.output / "reference").glob("*.npy")
    np.save(stored, np.load(stored) - 3)
    with pytest.raises(
        ValueError, match="stored log-probabilities of the reference are 3 nats a response off the model"
    ):
        align.main(config)


def test_a_run_that_is_killed_goes_on(finished, files, tmp_path):
    """Killed in step 3, behind the checkpoint of step 2: the numbers are those of the run that nothing stopped."""
    whole, figures = finished
    config = ranked(whole.model, files["ranked lists"], tmp_path / "run")
    command = [sys.executable, "-m", "tests.experiments.killed_align"]
    arguments = [config.model, str(config.reading.data[0]), str(config.output)]
    killed = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["step"] for row in read_metrics(config.output / LOSS)] == [1, 2]
    assert not (config.output / "hf").exists()
    assert align.main(config) == pytest.approx(figures, rel=1e-4)
    for name in ("loss", "eval/loss"):
        ours, theirs = (
            [row[name] for row in read_metrics(run.output / LOSS) if name in row] for run in (config, whole)
        )
        assert ours == pytest.approx(theirs, rel=1e-4)
    for ours, theirs in zip(
        *(jax.tree.leaves(hf.load_pretrained(run.output / "hf")[1]) for run in (config, whole)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_two_processes_train_and_export_as_one(finished, files, tmp_path):
    whole, _ = finished  # one process of two devices, against two
    command = [shared_align.__file__, "--model", whole.model, "--data", files["ranked lists"], "--output", tmp_path]
    command += ["--coordinator", f"localhost:{free_port()}", "--num-processes", 2, "--mesh", 2, 2, 1, 1, "--process-id"]
    codes, outputs, errors = run_together([[*command, 0], [*command, 1]], devices=4)
    assert codes == [0, 0], errors
    assert "report: " in outputs[0] and "report: " not in outputs[1]  # process 0 speaks for both
    ours, theirs = (read_metrics(folder / LOSS) for folder in (tmp_path, whole.output))
    for name in ("loss", "eval/loss"):
        expected = [row[name] for row in theirs if name in row]
        assert [row[name] for row in ours if name in row] == pytest.approx(expected, rel=1e-4)
    exported = (jax.tree.leaves(hf.load_pretrained(folder / "hf")[1]) for folder in (tmp_path, whole.output))
    for ours, theirs in zip(*exported, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


def test_single_responses_packed_on_a_base_in_few_bits(model, files, tmp_path):
    """The reference is the policy as it begins, in int8; the model that is exported has floats again."""
    adapter = Adapter(lora_rank=2, lora_base="int8")
    config = config_of(model, files["unpaired"], "kto", tmp_path, steps=2, batch=4, pack_tokens=192, adapter=adapter)
    figures = align.main(config)
    first, last = read_metrics(config.output / "kto")
    assert first["log_ratio"] == pytest.approx(0, abs=1e-3) and first["kl"] == pytest.approx(0, abs=1e-3)
    assert last["log_ratio"] != first["log_ratio"]
    assert {"start/accuracy", "aligned/accuracy", "aligned/perplexity"} <= figures.keys()


def test_examples_and_an_early_end(model, files, tmp_path):
    """A rate of 0 is no better at the second evaluation: it stops, and the weights are those of the first."""
    stopping = dict(learning_rate=0.0, eval_every=1, patience=1)
    config = config_of(model, files["conversations"], "sft", tmp_path, batch=4, pack_tokens=192, **stopping)
    figures = align.main(config)
    assert [row["step"] for row in read_metrics(config.output / "sft")] == [1, 2]
    assert figures["aligned/nats per token"] == figures["start/nats per token"]
    ours, theirs = (jax.tree.leaves(hf.load_pretrained(path)[1]) for path in (config.output / "hf", model))
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_reward_model_is_trained_scored_and_judges(finished, model, files, tmp_path):
    path = files["conversational pairs"]
    config = config_of(model, path, "reward", tmp_path / "run", steps=6, accumulate=2)
    figures = align.main(config)
    assert figures["aligned/pairwise accuracy"] > figures["start/pairwise accuracy"]
    trained = str(config.output / "hf")
    with pytest.raises(ValueError, match="expected a reward model"):
        align.main(dataclasses.replace(finished[0], judge=config.model))
    judged = align.main(dataclasses.replace(finished[0], judge=trained))
    assert 0 <= judged["aligned/win rate"] <= 1 and judged["start/characters"] > 0
    assert {name: value for name, value in judged.items() if name in finished[1]} == finished[1]
    rows = [json.loads(line) for line in (finished[0].output / "judged.jsonl").read_text().splitlines()]
    wins = [np.sign(row["rewards"]["aligned"] - row["rewards"]["start"]) for row in rows]
    assert judged["aligned/win rate"] == pytest.approx(0.5 + np.mean(wins) / 2)
    assert judged["start/characters"] == pytest.approx(np.mean([len(row["start"]) for row in rows]))
    reading = Data(test=(path,), limits=LIMITS)
    scored = align.main(Config(model=trained, reading=reading, eval_only=True, output=tmp_path / "scored"))
    assert scored[f"figures/{trained}/pairwise accuracy"] > 0.5


def test_a_policy_is_scored_against_its_reference(finished, files, tmp_path):
    config, _ = finished
    aligned = str(config.output / "hf")
    reading = Data(test=(files["ranked lists"],), limits=LIMITS)
    scored = align.main(Config(model=aligned, reference=config.model, reading=reading, eval_only=True, output=tmp_path))
    assert scored[f"figures/{aligned}/pairwise accuracy"] > 0.5
    assert scored[f"figures/{aligned}/perplexity"] > 1


def test_a_dry_run_says_what_would_be_done(finished, capsys, tmp_path):
    config = dataclasses.replace(finished[0], check=True, output=tmp_path / "none")
    assert align.main(config) == {} and not config.output.exists()
    said = capsys.readouterr().out
    for line in (
        "records: 24 with 72 responses to 24 prompts; 0 are exact duplicates of others",
        "test: 6 records held out by prompt, seed 0; 18 are learnt from",
        "0 of 54 are cut at 64 tokens",
        "--- example 3, prompt ---",
        "steps: 4 of 8 rows",
        "memory of a step: ",
        "activations and gradients: ",
    ):
        assert line in said
