"""T5's SentencePiece models: no beginning of sequence, sentinels behind the pieces, texts that end with </s>."""

import json

import pytest
import sentencepiece
import transformers

from jaxalign import data

CONFIG = {"tokenizer_class": "T5Tokenizer", "extra_ids": 5, "eos_token": "</s>", "pad_token": "<pad>"}
CONFIG |= {"unk_token": "<unk>"}
TEXT = "translate English to German:  The house  is wonderful. "


@pytest.fixture(scope="module")
def directory(english, tmp_path_factory):
    """Writes files as google-t5/t5-small has them: spiece.model beside a tokenizer_config.json."""
    folder = tmp_path_factory.mktemp("t5")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(english),
        model_prefix=str(folder / "spiece"),
        **dict(vocab_size=300, minloglevel=2, num_threads=1, hard_vocab_limit=False),
        **dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    (folder / "config.json").write_text('{"model_type": "t5"}')
    return folder


def test_ids_are_those_of_sentencepiece(directory, english):
    ours = data.load_tokenizer(directory)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(directory / "spiece.model"))
    assert (ours.pad_id, ours.eos_id, ours.bos_id) == (0, 1, None)
    assert ours.vocab_size == theirs.get_piece_size() + 5
    for text in (*english[:50], TEXT, ""):
        assert ours.encode(text) == theirs.encode(text)


def test_a_prompt_ends_as_transformers_ends_it(directory):
    ours = data.load_tokenizer(directory)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    assert ours.separator_ids == (1,)
    prompt = data.encode_prompt(data.PreferenceRecord(TEXT, ("a",), (1.0,)), ours)
    assert prompt == theirs(TEXT).input_ids and prompt[-1] == 1


def test_what_is_saved_is_the_same_tokenizer(directory, english, tmp_path):
    """It is one for transformers too, sentinels included; and what transformers saves is read here."""
    ours = data.load_tokenizer(directory)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    ours.save(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    saved = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = f"{TEXT}<extra_id_0> and <extra_id_4>"
    assert saved(text).input_ids == theirs(text).input_ids
    size = ours.vocab_size
    assert [x for x in theirs(text).input_ids if x >= size - 5] == [size - 1, size - 5]
    theirs.save_pretrained(tmp_path / "theirs")
    for again in data.load_tokenizer(tmp_path), data.load_tokenizer(tmp_path / "theirs"):
        assert (again.vocab_size, again.bos_id, again.eos_id, again.separator_ids) == (size, None, 1, (1,))
        assert again.encode(TEXT) == ours.encode(TEXT)
        assert again.decode(ours.encode(english[0])) == " ".join(english[0].split())


def test_a_tokenizer_that_begins_its_texts_separates_nothing(english, tmp_path):
    path = tmp_path / "m.model"
    data.train_sentencepiece(english, path, vocab_size=300)
    assert data.load_sentencepiece(path).separator_ids == ()
