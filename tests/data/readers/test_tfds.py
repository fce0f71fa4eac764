"""Reads a TFDS data set that the test writes, with no TensorFlow installed."""

import importlib.util

import numpy as np
import pytest

from jaxalign import data

ROWS = [{"prompt": f"prompt {n}", "responses": ["a", "", "ö"], "labels": [0.25, 0.5, n / 8]} for n in range(5)]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    import tensorflow_datasets as tfds

    assert importlib.util.find_spec("tensorflow") is None

    class ToyPreferences(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        __module__ = "__main__"  # of a class in a package TFDS 4.9.10 wants importlib_resources

        def _info(self):
            features = {
                "prompt": tfds.features.Text(),
                "responses": tfds.features.Sequence(tfds.features.Text()),
                "labels": tfds.features.Sequence(tfds.features.Scalar(np.float32)),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield from enumerate(ROWS)

    directory = tmp_path_factory.mktemp("tfds")
    ToyPreferences(data_dir=directory, file_format="array_record").download_and_prepare()
    return directory


def test_reads_every_record(data_dir):
    records, report = data.read_tfds("toy_preferences", data.ListColumns(), split="train", data_dir=data_dir)
    assert report == data.SourceReport(5, 0, ())
    by_prompt = {record.prompt: record for record in records}
    assert by_prompt["prompt 3"] == data.PreferenceRecord("prompt 3", ("a", "", "ö"), (0.25, 0.5, 0.375))


def test_reads_a_part(data_dir):
    assert (
        len(data.read_tfds("toy_preferences:1.0.0", data.ListColumns(), split="train[:2]", data_dir=data_dir)[0]) == 2
    )


def test_the_only_split_need_not_be_named(data_dir, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(data_dir))
    source, layout = data.read_any("tfds:toy_preferences")
    assert layout.name == "labelled lists" and len(source.records) == 5
    assert len(data.plain_rows("tfds:toy_preferences", split="train[:2]")) == 2


def test_one_of_several_splits_must_be_named(monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds, "data_source", lambda name, split, data_dir: {"train": [], "test": []})
    with pytest.raises(ValueError, match="toy: expected a split, one of train, test, got none; name one of them"):
        data.plain_rows("tfds:toy")


def test_names_a_bad_row(data_dir):
    with pytest.raises(ValueError, match="toy_preferences train, row 1: ranks: no such column"):
        data.read_tfds("toy_preferences", data.RankColumns(), split="train", data_dir=data_dir)
