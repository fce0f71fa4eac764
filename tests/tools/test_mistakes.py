"""How tools end when their user has made a mistake: with one line that says what was expected."""

import importlib
import sys

import pytest
import tyro

from jaxalign.io import edge

FILES = {
    "rows.jsonl": '{"prompt": "a"}\n',
    "text.txt": "hello\n",
    "x.pdb": "nothing\n",
    "broken/config.json": "{",
    "half/config.json": '{"model_type": "llama"}',
    "empty/README": "",
}
MODELS = {
    "nothing": "does not exist; pass a model's or a hub id",
    "text.txt": "does not exist; pass a model's or a hub id",
    "broken": "config.json is not JSON",
    "half": "config.json of a llama model lacks 'vocab_size'",
    "empty": "config.json is missing; pass the directory",
}
MISTAKES = [
    *(("score", f"T/{model} T/rows.jsonl T/out", words) for model, words in MODELS.items()),
    ("sample", "T/nothing T/rows.jsonl T/out", "does not exist; pass a model's or a hub id"),
    ("sample", "T/empty T/rows.jsonl T/out", "expected tokenizer.json or a SentencePiece tokenizer.model in T/empty"),
    ("chat", "T/nothing", "does not exist; pass a model's or a hub id"),
    ("chat", "T/nothing --temperature -1", "--temperature: expected at least 0, got -1"),
    ("export_hf", "T/nothing T/out", "no model.json beside T/nothing"),
    ("export_hf", "T/text.txt T/out", "no model.json beside T/text.txt"),
    ("predict_protein", "T/x.pdb --model T/nothing", "T/nothing/protein.json is missing; pass the folder 'model'"),
    ("predict_protein", "T/x.pdb --model T/empty", "T/empty/protein.json is missing; pass the folder 'model'"),
    ("plan", "--topology v9:2x2", "topology 'v9:2x2' is not known; known are "),
    ("plan", "--topology v5e:2x2 --model T/nothing", "neither a directory with a config.json nor one of the known"),
    ("plan", "--topology v5e:2x2 --step dpo --list-size 3", "takes pairs, which are lists of 2; got list_size=3"),
    ("score", "T/nothing T/rows.jsonl T/out --batch-size 0", "--batch-size: expected at least 1, got 0"),
    ("score", "T/nothing T/rows.jsonl T/out --max-response -1", "--max-response: expected at least 1, got -1"),
    ("classify", "T/nothing T/rows.jsonl T/out", "does not exist; pass a model's or a hub id"),
    ("classify", "T/nothing T/rows.jsonl T/out --max-tokens 0", "--max-tokens: expected at least 1, got 0"),
    ("classify_hierarchy", "T/nothing T/rows.jsonl T/out", "does not exist; pass a model's or a hub id"),
    (
        "classify_hierarchy",
        "T/broken T/rows.jsonl T/out",
        "taxonomy.json is missing; pass a folder that save_hier",
    ),
    ("classify_hierarchy", "T/nothing T/rows.jsonl T/out --top 0", "--top: expected at least 1, got 0"),
    (
        "classify_hierarchy",
        "T/x T/y T/out --mode path --top 2",
        "--top: expected with --mode top only, got --mode p",
    ),
    ("classify_hierarchy", "T/x T/y T/out --threshold 0.5", "--threshold: expected with --mode threshold or path only"),
    ("classify_hierarchy", "T/x T/y T/out --mode path --threshold 2", "expected a probability from 0 to 1, got 2"),
    ("sample", "T/nothing T/rows.jsonl T/out --num-samples 0", "--num-samples: expected at least 1, got 0"),
    ("sample", "T/nothing T/rows.jsonl T/out --temperature nan", "--temperature: expected at least 0, got nan"),
    ("bench", "--rounds 0", "--rounds: expected at least 1, got 0"),
    ("plan", "--topology v5e:2x2 --batch 0", "--batch: expected at least 1, got 0"),
    ("export_hf", "T/nothing T/out --max-shard-gb 0", "--max-shard-gb: expected at least 0.001, got 0"),
    ("accelerator", "--out T/new --seconds 0", "--seconds: expected at least 1, got 0"),
    ("accelerator", "--out T/empty", "T/empty: expected a file, and this is a folder"),
    ("accelerator", "--out T/nothing/out", "T/nothing/out: expected a file or folder, and there is none"),
]


@pytest.mark.parametrize(("tool", "arguments", "words"), MISTAKES)
def test_a_mistake_ends_with_a_line(tool, arguments, words, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    typed = arguments.replace("T/", f"{tmp_path}/").split()
    with pytest.raises(Exception) as caught:  # noqa: B017
        tyro.cli(importlib.import_module(f"tools.{tool}").main, args=typed)
    line = edge.explanation(caught.value)
    assert line is not None and words.replace("T/", f"{tmp_path}/") in line and "\n" not in line


@pytest.mark.parametrize(
    ("tool", "typed"),
    [
        ("score", ["model", "data"]),
        ("sample", ["model", "prompts", "out", "--num-sample", "3"]),
        ("bench", ["--table", "speed"]),
        ("plan", ["--topology", "v5e:2x2", "--optimizer", "adamm"]),
        ("export_hf", ["run", "out", "--dtype", "int8"]),
    ],
)
def test_fields_and_values_that_there_are_not(tool, typed, capsys):
    with pytest.raises(SystemExit) as ended:
        tyro.cli(importlib.import_module(f"tools.{tool}").main, args=typed)
    assert ended.value.code == 2 and "Traceback" not in capsys.readouterr().err


@pytest.fixture(autouse=True)
def platforms():
    """Plans leave the accelerators that are here alone, for good."""
    jax = sys.modules.get("jax") or importlib.import_module("jax")
    before = jax.config.jax_platforms
    yield
    jax.config.update("jax_platforms", before)
