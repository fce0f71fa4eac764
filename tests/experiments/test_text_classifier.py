"""The experiment that trains a classifier on rows of a file."""

import dataclasses
import json

import pytest
import transformers

from experiments import text_classifier
from experiments.common.classifiers.settings import ClassifierTraining

TUNING = ClassifierTraining(
    epochs=2, classifier_learning_rate=5e-3, text_lengths=(64,), encoder_size=(16, 1), encoder_words=250
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for number, name in enumerate(("train", "test")):
        rows = text_classifier.made_rows(90, number)
        lines = [{"headline": text, "topic": label} for text, (label,) in zip(*rows, strict=True)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = {name: folder / f"{name}.jsonl" for name in ("train", "test")}
    preset = text_classifier.PRESETS["files"]
    return dataclasses.replace(
        preset, **files, text="headline", label="topic", num_train=80, tuning=TUNING, output=folder / "run"
    )


def test_from_files_to_a_model_and_a_report(config):
    found = text_classifier.main(config)
    assert set(found) == {
        f"test/{method}/{name}" for method in ("probe of words", "fine-tuned") for name in ("accuracy", "macro-F1")
    }
    assert found["test/probe of words/accuracy"] > 0.3  # of six classes
    again = text_classifier.main(config)
    assert again == found
    page = (config.output / "report.html").read_text()
    assert "probe of words" in page and "texts of the development part" in page
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(config.output / "seed-0" / "hf")
    assert loaded.config.id2label[5] == "topic 5"
    with pytest.raises(ValueError, match="num_train was 80 and is 70"):
        text_classifier.main(dataclasses.replace(config, num_train=70))


def test_mistakes(config, tmp_path):
    with pytest.raises(ValueError, match="pass --train FILE and --test FILE"):
        text_classifier.main(dataclasses.replace(config, test=None, output=tmp_path / "run"))
    with pytest.raises(ValueError, match="--num-train: made texts have no end"):
        text_classifier.main(dataclasses.replace(config, task="topics", num_train=0, output=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_rows_of_the_table():
    assert list(text_classifier.methods(TUNING)) == ["probe of words", "fine-tuned"]
    pretrained = text_classifier.methods(dataclasses.replace(TUNING, encoder="DIR"))
    assert [(tuning.encoder, tuning.classifier) for tuning in pretrained.values()] == [
        ("", "probe"),
        ("DIR", "probe"),
        ("DIR", "fine-tuned"),
    ]
