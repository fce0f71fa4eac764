"""The head of a report: the command that it shows runs the same config again, and it names what was read."""

import hashlib
import json
import pathlib
import shlex

import pyarrow
import pyarrow.parquet
import pytest

from experiments import reward_model
from experiments.common import machines, origin, stages
from experiments.common.fields import replace
from experiments.ease import __main__ as ease
from experiments.hemenet import __main__ as hemenet
from experiments.judge import __main__ as judge
from experiments.label_preferences import __main__ as label_preferences
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.rrm import __main__ as rrm

EXPERIMENTS = {
    module.__name__: module for module in (ease, hemenet, judge, label_preferences, lipo, plad, reward_model, rrm)
}
CHANGES = [
    (lipo, "default", {"losses": (), "model": "a b", "adapter": stages.Adapter(4, "int8"), "seeds": 2}),
    (lipo, "tldr", {"data": "folder with 'quotes'", "batch": 2, "pack_tokens": 8192, "beta": 0.1}),
    (judge, "files", {"columns": ("p", "a", "b", "c"), "methods": ("direct",), "budget_tokens": 7, "model": "m"}),
    (judge, "sweeps", {"aspect_counts": (), "temperature": 0.0}),
    (ease, "files", {"kind": "csqa", "replay": "answers.jsonl"}),
    (plad, "table", {"methods": ("PLaD + likelihood", "reverse KL"), "teacher_name": ""}),
    (rrm, "curve", {"rates": (0.25,), "variants": ("no filter",)}),
    (hemenet, "mirror", {"batch": (1, 2, 3), "num_workers": 2}),
]


PATHS = ("data", "replay")


def changed(module, preset, changes):
    values = {name: pathlib.Path(value) if name in PATHS else value for name, value in changes.items()}
    return replace(module.PRESETS[preset], **values)


def read_again(module, config):
    words = shlex.split(origin.command(module.__name__, module.PRESETS, config))
    place = words.index(module.__name__)
    assert words[:place] in (["python", "-m"], ["./tools/run"])
    return machines.command_line(module.PRESETS, words[place + 1 :])


@pytest.mark.parametrize(("module", "preset", "changes"), CHANGES)
def test_the_command_runs_the_same_again(module, preset, changes):
    config = changed(module, preset, changes)
    assert read_again(module, config) == (config, machines.Machines())
    assert origin.preset_of(module.PRESETS, config) == preset  # the nearest one


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_so_it_does_for_every_preset(name):
    module = EXPERIMENTS[name]
    for preset, config in module.PRESETS.items():
        assert read_again(module, config) == (config, machines.Machines())
        assert list(origin.differences(module.PRESETS[preset], config)) == []


def test_what_was_typed_is_what_is_shown():
    """Another preset may be nearer, and another mesh changes the command."""
    config = replace(lipo.DEFAULT, seeds=3)
    with machines.launched_as(machines.Launch("table", (2, -1, 1, 2))):
        command = origin.command("experiments.lipo", lipo.PRESETS, config)
    choice = "--losses lambda dpo --betas --rates --first-seed 0 --seeds 3"
    assert command.endswith(f"experiments.lipo table {choice} --output runs/lipo --mesh 2 -1 1 2")
    again = machines.command_line(lipo.PRESETS, shlex.split(command.partition("lipo ")[2]))
    assert again == (config, machines.Machines(mesh=(2, -1, 1, 2)))


def facts_of(module, config, **said):
    return dict(origin.facts(origin.begin(module.__name__, module.PRESETS, config), **said).facts)


def test_facts_of_a_made_world(tmp_path):
    facts = facts_of(lipo, replace(lipo.DEFAULT, steps=3, output=tmp_path))
    assert facts["fields that differ from it"] == [
        "steps: 3, in the preset 120",
        f"output: {tmp_path}, in the preset runs/lipo",
    ]
    assert facts["model"] == "from scratch: width 64, 3 layers"
    assert facts["data"] == "made on the spot for each seed (task sequences)"
    assert facts["preset"] == "default" and facts["versions"].startswith("jax ") and "cores" in facts["hardware"]
    assert facts["code"].startswith("jaxalign 0.1.0") and facts["duration"].endswith(" s")
    (tmp_path / "config.json").write_text("{}")
    again = facts_of(lipo, replace(lipo.DEFAULT, output=tmp_path))
    assert again["duration"].endswith("since the last start, which continued")


def test_facts_name_files_with_rows_and_content(tmp_path):
    rows = [{"prompt": "p", "n": n} for n in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + "\n"
    (tmp_path / "pairs.jsonl").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    config = replace(judge.PRESETS["files"], data=tmp_path / "pairs.jsonl", output=tmp_path / "out")
    told = {"options scored": "by first token", "cost": "9 answers"}
    facts = facts_of(judge, replace(config, model="m", endpoint="http://host/v1"), told=told)
    assert facts["data"] == [f"{tmp_path}/pairs.jsonl: 3 rows, sha256 {digest}"]
    assert facts["model"] == ["model: m", "endpoint: http://host/v1"]
    assert facts["options scored"] == "by first token" and facts["cost"] == "9 answers"


def test_facts_name_what_is_in_a_folder_and_a_model(tmp_path):
    folder, model = tmp_path / "data", tmp_path / "model"
    (folder / "structures").mkdir(parents=True)
    model.mkdir()
    for n in range(4):
        (folder / "structures" / f"{n}.pdb").write_text("END\n")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), folder / "train.parquet")
    (folder / "README.md").write_text("not data")
    (model / "model.safetensors").write_bytes(bytes(2_000_000))
    digest = hashlib.sha256(bytes(2_000_000)).hexdigest()[:16]
    config = replace(lipo.PRESETS["alpacaeval"], data=folder, model=str(model), output=tmp_path / "out")
    facts = facts_of(lipo, config)
    assert facts["model"] == [f"model: {model} (2.0 MB of weights, sha256 {digest})"]
    tables, structures = facts["data"]
    assert tables.startswith(f"{folder}/train.parquet: 2 rows, sha256 ")
    assert structures.startswith(f"{folder}/structures: 4 files, sha256 of names and sizes ")


@pytest.mark.parametrize(
    ("module", "field", "value"),
    [
        (judge, "endpoint", "https://me:secret@host/v1"),
        (label_preferences, "endpoint", "https://host/v1?key=secret"),
        (ease, "endpoint", "http://secret@host/v1"),
        (plad, "teacher", "http://:secret@host/v1"),
    ],
)
def test_a_url_with_secrets_is_refused_before_anything_is_written(module, field, value, tmp_path):
    config = replace(module.PRESETS["files"], **{field: value}, output=tmp_path / "run")
    with pytest.raises(ValueError, match=f"--{field}: expected a URL without user name, password") as caught:
        module.main(config)
    assert "secret" not in str(caught.value).replace("secrets", "") and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("module", "changes", "words"),
    [
        (lipo, {"seeds": 0}, "--seeds: expected at least 1, got 0"),
        (lipo, {"size": (64, 0)}, "--size: expected at least 1, got 64 0"),
        (lipo, {"learning_rate": float("nan")}, "--learning-rate: expected at least 0, got nan"),
        (lipo, {"list_size": 1}, "--list-size: expected at least 2, got 1"),
        (rrm, {"rates": (0.1, 1.5)}, "--rates: expected at least 0 and at most 1, got 0.1 1.5"),
        (rrm, {"threshold": -0.1}, "--threshold: expected at least 0 and at most 1, got -0.1"),
        (reward_model, {"batch": -3}, "--batch: expected at least 1, got -3"),
        (plad, {"beta": 0.0}, "--beta: expected more than 0, got 0.0"),
        (hemenet, {"dropout": 1.0}, "--dropout: expected at least 0 and at most 0.99, got 1.0"),
        (hemenet, {"num_graphs": (10, 0)}, "--num-graphs: expected at least 1, got 10 0"),
        (ease, {"num_samples": 0}, "--num-samples: expected at least 1, got 0"),
        (ease, {"temperature": float("inf")}, "--temperature: expected at least 0, got inf"),
    ],
)
def test_numbers_that_no_run_can_come_of_are_refused_first(module, changes, words, tmp_path):
    config = replace(module.DEFAULT, **changes, output=tmp_path / "run")
    with pytest.raises(ValueError, match=words.replace(".", "[.]")):
        module.main(config)
    assert not (tmp_path / "run").exists()
