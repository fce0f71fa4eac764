"""tools/sample.py: a model's folder and a file of prompts to a file of samples."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tokenizers
import torch
import transformers

from jaxalign import data
from jaxalign.io import hf
from jaxalign.models import DecoderConfig
from tests.parity import tiny
from tools import sample

CONFIG = DecoderConfig(32, 16, 24, 2, 4, 2, 4, family="mistral", window=4, max_length=40)
NEW = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    names = ["<pad>", "<bos>", "<eos>", "<unk>"] + [f"w{n}" for n in range(28)]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")} | {"add_bos_token": True}
    hf.save_pretrained(folder, CONFIG, tiny.random_params(CONFIG), data.HfTokenizer(backend, special))
    return folder


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "w3 w4 w5 w6 w7 w8", "id": "long"}\n{"prompt": "w9"}\n')
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_temperature_zero_equals_transformers_and_continues(model, prompts, tmp_path, capsys, allow_nans):
    options = {"max_new_tokens": NEW, "temperature": 0.0, "slots": 8}
    sample.main(str(model), prompts, tmp_path / "out.jsonl", **options)
    assert "wrote 2 samples to" in capsys.readouterr().out
    reference = transformers.AutoModelForCausalLM.from_pretrained(model)
    found = {row["id"]: row for row in read(tmp_path / "out.jsonl")}
    assert list(sorted(found)) == ["1", "long"]
    for name, ids in (("long", [1, 7, 8, 9, 10, 11, 12]), ("1", [1, 13])):
        with torch.no_grad():
            expected = reference.generate(
                torch.tensor([ids]), attention_mask=torch.ones((1, len(ids))), max_new_tokens=NEW, do_sample=False
            )[0, len(ids) :].tolist()
        assert found[name]["tokens"] == expected
        words = [f" w{token - 4}" for token in expected if token > 3]  # as they stand behind the prompt
        assert found[name]["text"] == "".join(words)
        assert len(found[name]["logps"]) == len(expected) and max(found[name]["logps"]) <= 0

    sample.main(str(model), prompts, tmp_path / "out.jsonl", num_samples=2, **options)
    assert "wrote 2 samples" in (said := capsys.readouterr().out) and "which held 2" in said
    rows = read(tmp_path / "out.jsonl")
    assert len(rows) == 4
    np.testing.assert_array_equal(
        rows[0]["tokens"], next(row for row in rows[2:] if row["id"] == rows[0]["id"])["tokens"]
    )


@pytest.fixture
def copied(model, tmp_path):
    return pathlib.Path(shutil.copytree(model, tmp_path / "model"))


def change_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def write_weights(folder):
    params = jax.tree.map(lambda leaf: 0.9 * leaf, tiny.random_params(CONFIG))
    hf.save_pretrained(folder, CONFIG, params, data.load_tokenizer(folder))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (write_weights, {}, "weights was"),
        (lambda folder: change_json(folder / "config.json", sliding_window=3), {}, "config.window was 4 and is 3"),
        (
            lambda folder: change_json(folder / "tokenizer_config.json", chat_template="{{ messages[0].content }}"),
            {},
            "tokenizer.chat_template was None and is",
        ),
        (lambda folder: None, {"temperature": 0.5}, ".*temperature was 0.0 and is 0.5"),
        (lambda folder: None, {"seed": 3}, "key was"),
        (lambda folder: None, {"stop": ("w5",)}, "stops was"),
    ],
)
def test_what_samples_are_made_with_may_not_change_behind_a_path(copied, prompts, tmp_path, change, options, message):
    out, same = tmp_path / "out.jsonl", {"max_new_tokens": 2, "temperature": 0.0, "slots": 8}
    sample.main(str(copied), prompts, out, **same)
    written = out.read_bytes()
    change(copied)
    with pytest.raises(ValueError, match=f"out.jsonl was begun with other settings: {message}"):
        sample.main(str(copied), prompts, out, num_samples=2, **same | options)
    assert out.read_bytes() == written


def test_a_model_that_moved_is_the_same(copied, prompts, tmp_path, capsys):
    out, same = tmp_path / "out.jsonl", {"max_new_tokens": 2, "temperature": 0.0, "slots": 8}
    sample.main(str(copied), prompts, out, **same)
    copied.rename(tmp_path / "moved")
    sample.main(str(tmp_path / "moved"), prompts, out, **same)
    assert "wrote 0 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "--max-new-tokens: expected at least 1, got 0"),
        ({"num_samples": 0}, "--num-samples: expected at least 1, got 0"),
        ({"slots": 0}, "--slots: expected at least 1, got 0"),
        ({"temperature": float("nan")}, "--temperature: expected at least 0, got nan"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty must be positive"),
    ],
)
def test_numbers_that_give_no_sample_are_told(model, prompts, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        sample.main(str(model), prompts, tmp_path / "out.jsonl", **options)
    assert not (tmp_path / "out.jsonl").exists()


def test_ends_of_turn_come_from_the_model(model, tmp_path):
    assert sample._eos_ids(model) == [2]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 9]}')
    assert sample._eos_ids(tmp_path) == [2, 9]
    assert sample._eos_ids(tmp_path / "none") == []
