"""experiments.teleclass on documents from files, from the command line: with a model and without, and fine-tuned."""

import json
import re

import numpy as np
import pytest

from experiments.common import machines
from experiments.teleclass import __main__ as teleclass
from experiments.teleclass.methods import FLAT, FULL, GENERATED, LEVEL_WISE, NAMES, NO_GENERATION, SUPERVISED
from jaxalign.io.hierarchy_model import load_hierarchy_model
from tests.experiments import teleclass_files
from tests.io.llm import chat_server
from tools import classify_hierarchy

SMALL = "--steps 20 --text-lengths 64 --num-documents 1 --num-terms 4".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = teleclass_files.write(tmp_path_factory.mktemp("teleclass"))
    teleclass_files.write_encoder(folder / "encoder")
    return folder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with chat_server.serving() as server:
        server.chat = teleclass_files.chat
        yield server


def run(folder, output, *flags, labels=True):
    """What the command line does."""
    files = ["--taxonomy", str(folder / "classes.jsonl"), "--corpus", str(folder / "corpus.jsonl")]
    files += ["--test", str(folder / "test.jsonl"), "--label", "labels"] if labels else []
    words = ["files", *files, "--encoder", str(folder / "encoder"), *SMALL, "--output", str(output), *flags]
    config, _ = machines.command_line(teleclass.PRESETS, words)
    return teleclass.main(config)


def given(folder):
    return ["--terms", str(folder / "classes.jsonl"), "--documents", str(folder / "documents.jsonl")]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(folder):
    """A run without a model."""
    output = folder / "alone"
    return output, run(folder, output, *given(folder), "--controls", *teleclass.controls.CONTROLS)


def test_without_a_model_there_is_everything_but_prompting(alone):
    output, found = alone
    rows = {name.split("/")[1] for name in found if name.startswith(f"{teleclass.TEXTS}/")}
    assert rows == set(teleclass.METHODS) - {FLAT, LEVEL_WISE}
    assert all(found[f"{teleclass.TEXTS}/{row}/tokens"] == 0 for row in rows)
    for control in teleclass.controls.CONTROLS:
        assert 0 <= found[f"{control}/{FULL}/Example-F1"] <= 1
    page = (output / "report.html").read_text()
    assert "by similarity; a model would pick them" in page and "none was asked" in page
    cores = lines(output / "seed-0/cores.jsonl")
    assert [row["text"] for row in cores] == [each.text for each in teleclass_files.texts(48)]
    assert sum(row["kept"] for row in cores) == pytest.approx(36, abs=2)


def test_the_tool_says_what_the_run_said(alone, folder, tmp_path):
    output, _ = alone
    out = tmp_path / "classes.jsonl"
    classify_hierarchy.main(str(output / "seed-0/model"), folder / "test.jsonl", out)
    taxonomy = load_hierarchy_model(output / "seed-0/model").taxonomy
    for said, predicted in zip(lines(out), lines(output / "seed-0/predictions.jsonl"), strict=True):
        given = np.isin(taxonomy.ids, list(predicted["labels"]))
        closed = {taxonomy.ids[number] for number in np.flatnonzero(taxonomy.close_upwards(given))}
        assert set(said["labels"]) == closed
        for label, score in predicted["labels"].items():
            assert said["probabilities"][label] == pytest.approx(score, abs=1e-5)


def test_a_server_is_asked_once(folder, tmp_path, server, capsys):
    asks = ["--model", "m", "--endpoint", server.url]
    found = run(folder, tmp_path / "run", *asks)
    tokens = {row: found[f"{teleclass.TEXTS}/{row}/tokens"] for row in teleclass.METHODS}
    assert tokens[FULL] == tokens[GENERATED] + tokens[NO_GENERATION] and tokens[NAMES] == tokens[SUPERVISED] == 0
    assert tokens[FLAT] > 0 < tokens[LEVEL_WISE]
    said = re.search(r"at most about ([\d,]+) answers.* or ([\d,]+) in all", capsys.readouterr().err)
    requests, most = (int(each.replace(",", "")) for each in said.groups())
    asked = len(server.bodies)
    assert asked <= requests and sum(tokens[row] for row in (FULL, FLAT, LEVEL_WISE)) <= most
    assert run(folder, tmp_path / "run", *asks) == found and len(server.bodies) == asked
    page = (tmp_path / "run/report.html").read_text()
    assert "names of no class" in page and "paid by this process" in page


def test_a_budget_ends_a_run_that_goes_on(folder, tmp_path, server, capsys):
    asks = ["--model", "m", "--endpoint", server.url, "--methods", FULL, "--concurrency", "1"]
    with pytest.raises(SystemExit) as ended:
        run(folder, tmp_path / "run", *asks, "--budget-tokens", "2000")
    assert ended.value.code == 1 and "2,000" in capsys.readouterr().err
    asked = len(server.bodies)
    run(folder, tmp_path / "run", *asks)
    assert len(set(server.asked())) > asked > 0
    bodies = [json.dumps(body, sort_keys=True) for body in server.bodies]
    assert len(set(bodies)) == len(bodies)  # nothing is asked twice


def test_documents_without_labels(folder, tmp_path):
    """What somebody has who needs this: no figure, a classifier, and the classes of the documents."""
    assert run(folder, tmp_path / "run", *given(folder), labels=False) == {}
    assert len(lines(tmp_path / "run/seed-0/cores.jsonl")) == 48
    assert (tmp_path / "run/seed-0/model/taxonomy.json").is_file()
    with pytest.raises(ValueError, match="--controls: expected labelled documents to test on"):
        run(folder, tmp_path / "other", *given(folder), "--controls", teleclass.controls.SHUFFLED, labels=False)


def test_fine_tuning_learns_and_goes_on(folder, tmp_path):
    tuned = "--classifier fine-tuned --epochs 6 --batch 8 --fine-tuning-rate 3e-3 --pooling first".split()
    flags = [*tuned, *given(folder), "--methods", SUPERVISED, FULL, NAMES]
    found = run(folder, tmp_path / "run", *flags)
    best, names = (found[f"{teleclass.TEXTS}/{row}/Example-F1"] for row in (SUPERVISED, NAMES))
    assert best > names + 0.1
    model = load_hierarchy_model(tmp_path / "run/seed-0/model")
    assert model.config.pooling == "first" and model.max_tokens == 64
    assert run(folder, tmp_path / "run", *flags) == found
    # The same folder with other documents would go on with a training of others.
    short = tmp_path / "short.jsonl"
    short.write_text("".join((folder / "corpus.jsonl").read_text().splitlines(keepends=True)[:40]))
    with pytest.raises(ValueError, match="corpus"):
        run(folder, tmp_path / "run", *flags, "--corpus", str(short))


def test_the_papers_presets_read_the_authors_files(folder, tmp_path):
    (tmp_path / "data").mkdir()
    data = teleclass_files.write_authors_layout(tmp_path / "data")
    small = ["--classifier", "head", "--encoder", str(folder / "encoder"), "--network", "", *SMALL]
    words = ["amazon-531", "--taxonomy", str(data), *small, "--methods", FULL, NAMES, "--output", str(tmp_path / "run")]
    config, _ = machines.command_line(teleclass.PRESETS, words)
    found = teleclass.main(config)
    assert 0 <= found[f"{teleclass.TEXTS}/{FULL}/Example-F1"] <= 1
    assert found[f"{teleclass.CORES}/{FULL}, refined/texts"] == 24
    corpus = data / "train/corpus.txt"
    corpus.write_text(corpus.read_text().replace("d0\t", "d0\tother "))
    with pytest.raises(ValueError, match=r"train/corpus\.txt"):
        teleclass.main(config)


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(ValueError, match="terms: nothing was given, and there is no model.*--terms"):
        run(folder, tmp_path / "a", "--methods", FULL)
    with pytest.raises(ValueError, match="expected --encoder DIR"):
        teleclass.main(machines.command_line(teleclass.PRESETS, ["files", "--output", str(tmp_path / "b")])[0])
    with pytest.raises(ValueError, match="expected --taxonomy FILE"):
        words = ["files", "--encoder", str(folder / "encoder"), "--output", str(tmp_path / "c")]
        teleclass.main(machines.command_line(teleclass.PRESETS, words)[0])
    with pytest.raises(ValueError, match="--num-texts: made texts have no end"):
        teleclass.main(machines.command_line(teleclass.PRESETS, ["default", "--num-texts", "0", "5"])[0])
    with pytest.raises(ValueError, match="methods"):
        run(folder, tmp_path / "d", "--methods", "TELEclass")
