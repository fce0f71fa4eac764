"""tools/classify.py, with a tiny classifier in a folder, against transformers."""

import dataclasses
import json

import jax
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers
import transformers

from jaxalign import data, models
from jaxalign.io import hf, line_file
from tests.parity import tiny
from tools import classify, score

LABELS = ("World", "Sports", "Sci/Tech")
CONFIG = models.ClassifierConfig(models.EncoderConfig(7, 8, 12, 1, 2, max_length=24, pooler=True), LABELS)
TEXTS = ["a b", "b", "a b a b", "", "b " * 40, "a [SEP] b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "[": 6}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    directory = tmp_path_factory.mktemp("tool") / "model"
    return hf.save_pretrained(directory, CONFIG, tiny.random_params(CONFIG), data.HfTokenizer(backend, special))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"headline": text, "name": n}) + "\n" for n, text in enumerate(TEXTS)))
    return path


def test_probabilities_of_transformers(folder, file, tmp_path, capsys):
    classify.main(str(folder), file, tmp_path / "out.jsonl", text="headline", id="name")
    lines = line_file.read_rows(tmp_path / "out.jsonl")
    pipeline = transformers.pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    for text, line in zip(TEXTS[:5], lines, strict=False):  # the last has a typed [SEP], which is text here
        [theirs] = pipeline([text], truncation=True, max_length=24)
        assert line["probabilities"] == pytest.approx({each["label"]: each["score"] for each in theirs}, abs=1e-4)
        assert line["label"] == theirs[0]["label"]
    assert [line["id"] for line in lines] == list("012345") and [line["truncated"] for line in lines][3:5] == [0, 1]
    assert "6 of 6 rows classified (0 lines were there), 0 not readable, 0 not classified, 1 cut to 24 tokens" in (
        capsys.readouterr().out
    )


def test_parquet_and_bad_rows(folder, tmp_path, capsys):
    rows = pyarrow.Table.from_pylist([{"text": "a"}, {"text": None}, {"text": "b"}])
    pyarrow.parquet.write_table(rows, tmp_path / "rows.parquet")
    arguments = str(folder), tmp_path / "rows.parquet", tmp_path / "out.jsonl"
    with pytest.raises(ValueError, match="rows.parquet, row 2: text: the row has no value here"):
        classify.main(*arguments)
    classify.main(*arguments, skip_bad_rows=True)
    assert [line["row"] for line in line_file.read_rows(arguments[2])] == [0, 2]
    printed = capsys.readouterr().out
    assert "2 of 3 rows classified" in printed and "1 not readable" in printed and "skipped" in printed


def change_weights(folder, out):
    config, params = hf.load_pretrained(folder)
    params = jax.tree.map(lambda x: 1.5 * x, params)
    return hf.save_pretrained(out, config, params, data.load_tokenizer(folder))


def change_labels(folder, out):
    config, params = hf.load_pretrained(folder)
    config = dataclasses.replace(config, labels=("a", "b", "c"))
    return hf.save_pretrained(out, config, params, data.load_tokenizer(folder))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (change_weights, {}, "weights was"),
        (change_labels, {}, r"config.labels was .*World.* and is .*'a'"),
        (lambda folder, out: folder, {"max_tokens": 9}, "max_tokens was 24 and is 9"),
    ],
)
def test_classes_of_two_models_are_never_in_one_file(folder, file, tmp_path, change, options, message):
    out = tmp_path / "out.jsonl"
    classify.main(str(folder), file, out, text="headline")
    written = out.read_bytes()
    out.write_bytes(written[:200])  # killed, and begun again
    classify.main(str(folder), file, out, text="headline")
    assert out.read_bytes() == written
    with pytest.raises(ValueError, match=f"out.jsonl was begun with other settings: {message}"):
        classify.main(str(change(folder, tmp_path / "other")), file, out, text="headline", **options)
    assert out.read_bytes() == written


def test_each_tool_names_the_other(folder, tmp_path):
    with pytest.raises(ValueError, match="expected a reward model.*got a ClassifierConfig .*tools.classify"):
        score.load_scorer(str(folder))
    config = models.RewardConfig(CONFIG.backbone, "first")
    out = hf.save_pretrained(tmp_path / "reward", config, tiny.random_params(config), data.load_tokenizer(folder))
    with pytest.raises(ValueError, match="expected a classifier of texts.*got a RewardConfig .*tools.score"):
        classify.load_labeller(str(out))


def test_rows_double_up_to_the_limit():
    assert [classify.row_lengths(n) for n in (3, 16, 17, 128)] == [[3], [16], [16, 17], [16, 32, 64, 128]]
    assert np.all(np.diff(classify.row_lengths(500)) > 0)
