"""A run's folder holds the results of one set of settings, and says so when it is asked for another."""

import dataclasses
import json
import pathlib

import pytest

from jaxalign.io.run import run_folder


@dataclasses.dataclass(frozen=True)
class Config:
    learning_rate: float = 0.1
    size: tuple[int, int] = (8, 2)
    data: pathlib.Path | None = None
    model: str = ""
    seeds: int = 1
    output: pathlib.Path = pathlib.Path("here")


def begin(folder, config=Config(), experiment="toy"):  # noqa: B008
    return run_folder.open_run(
        folder,
        config,
        experiment=experiment,
        may_differ=("output", "seeds"),
        files={"data": ("train.*",)},
        models=("model",),
    )


def finish(folder):
    """What a run leaves: a row of metrics."""
    (folder / "seed-0").mkdir()
    (folder / "seed-0" / "metrics.jsonl").write_text('{"step": 1}\n')


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def done(tmp_path):
    folder = tmp_path / "run"
    begin(folder)
    finish(folder)
    return folder


def test_settings_are_written_and_the_same_ones_go_on(done):
    settings = json.loads((done / "config.json").read_text())
    assert settings == {
        "learning_rate": 0.1,
        "size": [8, 2],
        "data": None,
        "model": "",
        "seeds": 1,
        "output": "here",
    }
    assert begin(done) == {"experiment": "toy", "format": run_folder.FORMAT, "inputs": {}, **settings}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.2}, "learning_rate was 0.1 and is 0.2. Nothing was changed: take another folder"),
        ({"size": (8, 3)}, r"size was \[8, 2\] and is \[8, 3\]"),
        ({"size": (9, 2), "learning_rate": 1.0}, r"learning_rate was 0.1 and is 1.0, size was \[8, 2\] and is"),
        ({"model": "name"}, "model was '' and is 'name'.*delete this one to begin anew"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_written(done, change, message):
    before = content(done)
    with pytest.raises(ValueError, match=f"holds a run with other settings: {message}"):
        begin(done, dataclasses.replace(Config(), **change))
    assert content(done) == before


@pytest.mark.parametrize("change", [{"seeds": 5}, {"output": pathlib.Path("there")}])
def test_fields_that_change_nothing_may_differ(done, change):
    begin(done, dataclasses.replace(Config(), **change))
    assert json.loads((done / "config.json").read_text()) | {"output": "", "seeds": 0} == {
        **json.loads(json.dumps(dataclasses.asdict(Config()), default=str)),
        "output": "",
        "seeds": 0,
    }


def test_another_experiment_is_refused(done):
    with pytest.raises(ValueError, match="experiment was 'toy' and is 'other'"):
        begin(done, experiment="other")


@pytest.mark.parametrize(
    "result",
    ["report.html", "labels.jsonl", "seed-1/a/predictions.jsonl", "seed-0/sft/checkpoints/4/x", "seed-2/metrics.jsonl"],
)
def test_each_kind_of_result_holds_a_folder(tmp_path, result):
    begin(tmp_path)
    (tmp_path / result).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / result).write_text("something")
    with pytest.raises(ValueError, match="learning_rate was"):
        begin(tmp_path, Config(learning_rate=0.3))


def test_a_folder_without_results_is_anybodys(tmp_path):
    """A run that failed before it had made anything, or files of something else."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.parquet").write_bytes(b"x")
    begin(tmp_path)
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "metrics.jsonl").touch()
    (tmp_path / "answers.jsonl").write_text("{}\n")
    begin(tmp_path, Config(learning_rate=0.3))
    assert json.loads((tmp_path / "config.json").read_text())["learning_rate"] == 0.3


def test_answers_are_not_lost(done):
    (done / "answers.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="with answers.jsonl copied into the other folder it is not paid again"):
        begin(done, Config(learning_rate=0.2))


def test_old_and_damaged_folders_are_told(done):
    (done / "run.json").unlink()
    with pytest.raises(ValueError, match=r"results \(seed-0/metrics.jsonl, ...\) without run.json: an older release"):
        begin(done)
    (done / "run.json").write_text('{"format": 0, "inputs": {}}')
    with pytest.raises(ValueError, match="run.json has the format 0, and this release writes 1"):
        begin(done)
    (done / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json is not JSON.*take another folder"):
        begin(done)
    (done / "config.json").unlink()
    with pytest.raises(ValueError, match="without config.json: nobody knows what made them"):
        begin(done)


def test_files_and_models_are_their_content(tmp_path):
    data, model, run = tmp_path / "data", tmp_path / "model", tmp_path / "run"
    for folder, files in ((data, ("train.txt", "notes.txt")), (model, ("config.json", "model.safetensors"))):
        folder.mkdir()
        for name in files:
            (folder / name).write_text("first")
    config = Config(data=data, model=str(model))
    begin(run, config)
    finish(run)
    (data / "notes.txt").write_text("not read")
    data.rename(tmp_path / "moved")
    begin(run, dataclasses.replace(config, data=tmp_path / "moved"))
    (tmp_path / "moved" / "train.txt").write_text("second")
    with pytest.raises(ValueError, match="inputs.data.train.txt was '[0-9a-f]{12}…' and is '"):
        begin(run, dataclasses.replace(config, data=tmp_path / "moved"))
    (tmp_path / "moved" / "train.txt").write_text("first")
    (model / "model.safetensors").write_text("second")
    with pytest.raises(ValueError, match="other settings: inputs.model.model.safetensors was"):
        begin(run, dataclasses.replace(config, data=tmp_path / "moved"))
    (model / "model.safetensors").write_text("first")
    (model / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ValueError, match="inputs.model.tokenizer_config.json was None and is"):
        begin(run, dataclasses.replace(config, data=tmp_path / "moved"))
    with pytest.raises(ValueError, match="other settings: data was '.* and is None, "):
        begin(run, dataclasses.replace(config, data=None))


def test_a_field_of_a_later_release_stands_at_its_default(done):
    @dataclasses.dataclass(frozen=True)
    class Later(Config):
        clip: float = 1.0

    begin(done, Later())
    with pytest.raises(ValueError, match="clip was 1.0 and is 2.0"):
        begin(done, Later(clip=2.0))
