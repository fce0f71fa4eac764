"""Text that grows by tokens is, at its end, what all tokens say at once."""

import itertools

import numpy as np
import pytest
import tokenizers

from jaxalign.io.serve.engine.text import TextStream
from tests.io.serve.engine import tiny_chat


def metaspace(rng):
    """SentencePiece's way: spaces belong to words, bytes stand in for rare characters, the first space goes."""
    names = ["<unk>", *(f"<0x{n:02X}>" for n in range(256)), "▁", "▁a", "▁b", "a", "b", "▁▁", "."]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({name: n for n, name in enumerate(names)}, [], unk_token="<unk>", byte_fallback=True)
    )
    decoders = tokenizers.decoders
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # Whole characters: one wrong byte would change how all bytes beside it are decoded.
    pieces = [[n] for n in range(257, len(names))] + [[1 + byte for byte in char.encode()] for char in "é💧\n"]
    rows = [sum((pieces[n] for n in rng.integers(0, len(pieces), rng.integers(1, 30))), []) for _ in range(60)]
    return backend.decode, rows


def byte_level(rng):
    tokenizer = tiny_chat.make_tokenizer()
    return tokenizer.decode, [rng.integers(3, tokenizer.vocab_size, rng.integers(1, 30)).tolist() for _ in range(60)]


def parts_of(decode, tokens, stops=(), begin=""):
    stream = TextStream(decode, stops, begin)
    parts = []
    for token in tokens:
        parts.append(stream.add(token))
        if stream.ended:
            break
    return [*parts, stream.finish()]


@pytest.mark.parametrize("make", [metaspace, byte_level])
def test_parts_make_the_whole(make):
    decode, rows = make(np.random.default_rng(0))
    for tokens in rows:
        assert "".join(parts_of(decode, tokens)) == decode(tokens)


def test_characters_of_several_tokens_come_whole():
    tokenizer, text = tiny_chat.make_tokenizer(), "é💧 ok €"
    tokens = tokenizer.encode(text)
    parts = parts_of(tokenizer.decode, tokens)
    assert "".join(parts) == text and not any("\ufffd" in part for part in parts)
    assert "💧" in parts and len(tokens) > len(text)


def test_half_a_character_at_the_end_is_shown_as_such():
    tokenizer = tiny_chat.make_tokenizer()
    tokens = tokenizer.encode("a💧")[:-1]
    assert parts_of(tokenizer.decode, tokens) == ["a", "", "", "", "\ufffd"] and tokenizer.decode(tokens) == "a\ufffd"


@pytest.mark.parametrize("make", [metaspace, byte_level])
def test_stop_texts_end_the_text_and_no_part_of_them_is_shown(make):
    decode, rows = make(np.random.default_rng(1))
    found = 0
    for tokens in rows:
        text = decode(tokens)
        for begin, length in itertools.product((0, len(text) // 2), (1, 2, 4)):
            stop = text[begin : begin + length]
            if stop and "\ufffd" not in stop:
                found += 1
                assert "".join(parts_of(decode, tokens, [stop, "never"])) == text.partition(stop)[0]
    assert found > 20


def letters(tokens):
    return "".join(map(chr, tokens))


def test_what_may_begin_a_stop_text_is_held_back():
    assert parts_of(letters, map(ord, "abcabd"), ["abd"]) == ["", "", "abc", "", "", "", ""]
    assert parts_of(letters, map(ord, "xab"), ["abd"]) == ["x", "", "", "ab"]
    assert parts_of(letters, map(ord, "abc"), ["bc", "c"]) == ["a", "", "", ""]


def test_what_stands_before():
    assert parts_of(letters, map(ord, "ab"), begin=" ") == [" a", "b", ""]
