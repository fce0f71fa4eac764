"""The forms in which lists and pairs come as ``--data FOLDER``."""

import gzip
import json

import jax
import pyarrow
import pyarrow.parquet
import pytest

from experiments.common import alpacaeval_task, prompts, sequences
from experiments.common.rewards import worlds
from experiments.plad import __main__ as plad
from experiments.plad import file_world
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


LABELLED = [
    {"prompt_id": f"{n}", "source": "s", "response": f"{WORDS[n]} {text}", "preference": label}
    for text, label in (("yes", 0.9), ("no", 0.1))
    for n in range(len(ASKED))
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(path, rows):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    content = json.dumps(rows).encode() if ".json" in path.suffixes else lines(rows)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def tokens(lists):
    return lists.prompt_tokens.tolist(), lists.response_tokens.tolist()


def make_lists(folder, model, as_chat):
    """Tokens of LiPO's lists."""
    sizes = {"vocab_size": 320, "limits": (64, 32), "responses_per_prompt": 4}
    task = alpacaeval_task.make_task(folder, folder, model=model, as_chat=as_chat, **sizes)
    return tokens(task.make_lists(None, None)), tokens(task.demonstrations)


def make_rewards(folder, model, as_chat):
    """Pairs, demonstrations and tests of reward models."""
    sizes = {"vocab_size": 320, "limits": (64, 32), "num_pairs": 8}
    task = worlds.make_task("alpacaeval", folder, folder, seed=0, backbone=model, as_chat=as_chat, **sizes)
    return task.pairs, task.tests, task.lists, tokens(task.demonstrations)


def make_teaching(folder, model, as_chat):
    """Prompts and pool of PLaD's world, taught by the lists' own best responses."""
    taught_by = file_world.Teacher(teacher_outputs=folder / "train.parquet")
    config = plad.Config(task="files", data=folder, student=model, as_chat=as_chat, taught_by=taught_by, output=folder)
    world = file_world.make_world(config, folder, jax.random.key(0))
    return world.train, world.texts, tokens(world.pool(world.student, jax.random.key(0)))


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
    silent = [(plain, "M", [text]), (chat, "", [text]), (chat, "M", PAIRS), (plain, "", PAIRS)]
    for tokenizer, model, records in silent:
        prompts.check(records, tokenizer, model, as_chat=False)
    assert not capsys.readouterr().out
    prompts.check([text, *PAIRS], plain, "M", as_chat=False)
    assert "WARNING: 8 of 9 prompts are chats, and M has no chat template" in capsys.readouterr().out
    prompts.check([text, *PAIRS], chat, "M", as_chat=False)
    said = capsys.readouterr().out
    assert "WARNING: 1 of 9 prompts are texts, and M has a chat template" in said and "--as-chat makes each" in said


@pytest.mark.parametrize("make_task", [make_lists, make_rewards, make_teaching])
def test_texts_become_chats(make_task, tmp_path):
    """With --as-chat lists of texts give what lists of messages give, token for token, in each kind of world."""
    tiny_chat.save(tmp_path / "model")
    texts = [{**row, "prompt": f"{asked}?"} for row, asked in zip(LABELLED, ASKED * 2, strict=True)]
    chats = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in texts]
    made = {}
    for name, rows, as_chat in (("texts", texts, True), ("chats", chats, False), ("plain", texts, False)):
        (folder := tmp_path / name).mkdir()
        for part in ("train", "validation"):
            write(folder / f"{part}.parquet", rows)
        made[name] = make_task(folder, str(tmp_path / "model"), as_chat)
    assert made["texts"] == made["chats"] != made["plain"]


def test_chats_of_a_model_without_a_template_are_refused():
    with pytest.raises(ValueError, match="--as-chat: a model from scratch has no chat template; leave it out"):
        prompts.check(PAIRS, sequences.make_tokenizer(), "", as_chat=True)
