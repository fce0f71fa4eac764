import pytest
import sentencepiece

from jaxalign import data


def train(texts, path, **options):
    """Trains as SentencePiece does by default: normalising, with a space in front of every text."""
    defaults = dict(vocab_size=300, minloglevel=2, num_threads=1, hard_vocab_limit=False)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(path.with_suffix("")), **{**defaults, **options}
    )
    return path


def test_ids_are_those_of_sentencepiece(spm_path, english):
    ours = data.load_sentencepiece(spm_path)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(spm_path))
    assert ours.vocab_size == theirs.get_piece_size()
    for text in (*english, "", " ", "\n", "a  b\t\x00c", "n</s>n<unk>n<0x0A>", "😀日本"):
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
@pytest.mark.parametrize("byte_fallback", [False, True])
def test_ids_of_models_that_normalise(model_type, byte_fallback, english, tmp_path):
    path = train(english, tmp_path / "m.model", model_type=model_type, byte_fallback=byte_fallback, vocab_size=450)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = data.load_sentencepiece(path)
    for text in (*english[:100], "  two  spaces ", "ﬁne Ⅷ ½", "tab\tand\nline"):
        ids = theirs.encode(text)
        assert ours.encode(text) == ids
        if byte_fallback:  # there is no one way to write an unknown token
            assert ours.decode(ids) == theirs.decode(ids)
    assert (theirs.unk_id() in ours.encode("\U0001f600")) == (not byte_fallback)


def test_user_defined_symbols_are_text(english, tmp_path):
    path = train(english, tmp_path / "m.model", user_defined_symbols=["<think>"], add_dummy_prefix=False)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = data.load_sentencepiece(path)
    assert ours.decode(ours.encode("a<think>e")) == "a<think>e"
    assert theirs.piece_to_id("<think>") in ours.encode("a<think>e")


def test_training_is_deterministic(spm_path, english, tmp_path):
    data.train_sentencepiece(
        english,
        tmp_path / "again.model",
        vocab_size=500,
        model_type=spm_path.name,
        control_tokens=("<|im_start|>", "<|im_end|>"),
    )
    assert (tmp_path / "again.model").read_bytes() == spm_path.read_bytes()


def test_ids_of_special_tokens(spm_path):
    tokenizer = data.load_sentencepiece(spm_path)
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id) == (0, 1, 2)


def test_texts_longer_than_the_trainer_takes_are_learnt_too(spm_paths, english, tmp_path):
    # One line of some 60,000 bytes, which the trainer alone would drop.
    data.train_sentencepiece([" ".join(english).replace("\n", "")], tmp_path / "m.model", vocab_size=500)
    from_one = data.load_sentencepiece(tmp_path / "m.model")
    from_many = data.load_sentencepiece(spm_paths / "unigram")
    lengths = [sum(len(tokenizer.encode(text)) for text in english) for tokenizer in (from_one, from_many)]
    assert lengths[0] < 1.05 * lengths[1]


def test_texts_that_support_no_model(tmp_path):
    with pytest.raises(ValueError, match="cannot train SentencePiece to 300 pieces on these texts"):
        data.train_sentencepiece([], tmp_path / "m.model", vocab_size=300)


def test_models_of_other_types(english, tmp_path):
    path = train(["a b c d e f"] * 10, tmp_path / "m.model", model_type="word", vocab_size=9)
    with pytest.raises(ValueError, match="of type UNIGRAM or BPE, got WORD"):
        data.load_sentencepiece(path)
