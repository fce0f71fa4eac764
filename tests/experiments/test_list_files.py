"""The forms in which lists and pairs come as ``--data FOLDER``."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from experiments.common import alpacaeval_task, sequences
from jaxalign import data
from tests.io.serve.engine import tiny_chat

LONG = [
    {"prompt_id": "a", "source": "s", "prompt": "p", "response": text, "preference": label}
    for text, label in (("good", 0.9), ("bad", 0.2), ("so so", 0.5))
]
WORDS = "the quick brown fox jumps over a lazy dog while seven wise owls watch from an old oak".split()
ASKED = [" ".join(WORDS[n : n + 5]) for n in range(8)]
TRANSCRIPTS = [
    {
        side: f"\n\nHuman: {asked}?\n\nAssistant: {WORDS[n]} {text}"
        for side, text in (("chosen", "yes"), ("rejected", "no"))
    }
    for n, asked in enumerate(ASKED)
]
CHATS = [
    {
        side: [{"role": "user", "content": f"{asked}?"}, {"role": "assistant", "content": f"{WORDS[n]} {text}"}]
        for side, text in (("chosen", "yes"), ("rejected", "no"))
    }
    for n, asked in enumerate(ASKED)
]
PROMPTED = [
    {"prompt": f"\n\nHuman: {asked}?\n\nAssistant:", "chosen": f"{WORDS[n]} yes", "rejected": f"{WORDS[n]} no"}
    for n, asked in enumerate(ASKED)
]
PAIRS = [
    data.PreferenceRecord.from_pair([{"role": "user", "content": f"{asked}?"}], f"{WORDS[n]} yes", f"{WORDS[n]} no")
    for n, asked in enumerate(ASKED)
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(path, rows):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    content = json.dumps(rows).encode() if ".json" in path.suffixes else lines(rows)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl", "train.jsonl.gz", "train.json", "train.json.gz"])
def test_long_form_in_every_form(name, tmp_path):
    write(tmp_path / name, LONG)
    (record,) = alpacaeval_task.read_part(alpacaeval_task.part_file(tmp_path, "train"))
    expected = data.PreferenceRecord("p", ("good", "bad", "so so"), (0.9, 0.2, 0.5), source="s", id="a")
    assert record == expected


@pytest.mark.parametrize("rows", [TRANSCRIPTS, CHATS, PROMPTED], ids=["transcripts", "chats", "prompted transcripts"])
@pytest.mark.parametrize("name", ["train.jsonl.gz", "train.parquet"])
def test_pairs_in_every_form(rows, name, tmp_path):
    write(tmp_path / name, rows)
    assert alpacaeval_task.read_part(tmp_path / name) == PAIRS


def test_pairs_of_texts(tmp_path):
    write(tmp_path / "train.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b"}])
    records = alpacaeval_task.read_part(tmp_path / "train.jsonl")
    assert records == [data.PreferenceRecord.from_pair("p", "a", "b")]


def test_a_task_of_transcripts(tmp_path):
    """Tokenizer, lists and held-out prompts, without any training."""
    for part, rows in (("train", TRANSCRIPTS), ("validation", TRANSCRIPTS[:2])):
        write(tmp_path / f"{part}.jsonl.gz", rows)
    limits = {"vocab_size": 320, "limits": (64, 32), "responses_per_prompt": 4}
    task = alpacaeval_task.make_task(tmp_path, tmp_path / "work", model="", **limits)
    lists = task.make_lists(None, None)
    assert len(lists.prompt_starts) - 1 == len(TRANSCRIPTS) and lists.labels.tolist() == [0.75, 0.25] * len(TRANSCRIPTS)


def test_which_file_it_is(tmp_path):
    with pytest.raises(ValueError, match="validation.parquet, got .*; both may also be .jsonl, .json, .jsonl.gz"):
        alpacaeval_task.read_lists(tmp_path)
    write(tmp_path / "train.jsonl", LONG)
    write(tmp_path / "train.parquet", LONG)
    with pytest.raises(ValueError, match="which has train.parquet and train.jsonl: remove all but one"):
        alpacaeval_task.read_lists(tmp_path)


def test_a_bad_row_is_named(tmp_path):
    write(tmp_path / "train.jsonl.gz", [*TRANSCRIPTS[:2], {"chosen": "hello", "rejected": "no"}])
    with pytest.raises(ValueError, match="train.jsonl.gz, row 3: chosen: expected a transcript that begins with"):
        alpacaeval_task.read_part(tmp_path / "train.jsonl.gz")


def test_texts_as_prompts_of_a_chat_model_are_said_aloud(capsys):
    """It would go on with them where it is to answer; a model that does not chat, or messages, need no warning."""
    chat, plain = tiny_chat.make_tokenizer(), sequences.make_tokenizer()
    text = data.PreferenceRecord.from_pair("What is a fox?", "An animal.", "A plant.")
    for tokenizer, model, records in [(plain, "M", [text]), (chat, "", [text]), (chat, "M", PAIRS)]:
        alpacaeval_task.warn_of_plain_prompts(records, tokenizer, model)
    assert not capsys.readouterr().out
    alpacaeval_task.warn_of_plain_prompts([text, *PAIRS], chat, "M")
    assert "WARNING: 1 of 9 prompts are texts, and M has a chat template" in capsys.readouterr().out
