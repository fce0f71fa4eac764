"""SentencePiece models: training one, and reading one into the tokenizers library.

There is one engine for training, sampling and the exported tokenizer.json, so that all three see the same ids. The ids
are those of the sentencepiece library too, which the tests compare.
"""

import io
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import decoders, models, normalizers, processors

from jaxalign.data.text.added_tokens import extra_tokens
from jaxalign.data.text.tokenizer import HfTokenizer

SPACE = "\u2581"
"""How SentencePiece writes a space inside a piece. In a text it reads as a space: the one character that is lost."""

SOME_WORDS = re.compile(r".{1,200}(?= |$)|.{1,200}")
_Piece = sentencepiece_model_pb2.ModelProto.SentencePiece


def train_sentencepiece(
    texts: Iterable[str],
    path: str | os.PathLike,
    *,
    vocab_size: int,
    model_type: str = "unigram",
    control_tokens: Sequence[str] = (),
) -> None:
    """Trains a SentencePiece model and writes it to ``path``; the same texts give the same file.

    Ids: 0 pad, 1 end of sequence, 2 beginning of sequence, 3 unknown, then ``control_tokens``, 256 bytes, pieces.
    Every text round-trips: nothing is normalised, spaces are kept, and rare characters fall back to bytes.

    Args:
      texts: what to learn from, at least a few thousand words; a sample is enough of large data.
      path: the file to write.
      vocab_size: fewer pieces result when the texts do not have that many.
      model_type: "unigram" or "bpe".
      control_tokens: tokens that a chat template writes, for instance ``("<|im_start|>", "<|im_end|>")``.

    Raises:
      ValueError: if the texts cannot support a vocabulary of any size near ``vocab_size``.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(texts),
            model_writer=model,
            vocab_size=vocab_size,
            model_type=model_type,
            control_symbols=list(control_tokens),
            **dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            split_digits=True,
            byte_fallback=True,
            hard_vocab_limit=False,
            num_threads=1,  # the sums of several threads depend on their timing
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"cannot train SentencePiece to {vocab_size} pieces on these texts: {error}") from error
    pathlib.Path(path).write_bytes(model.getvalue())


def load_sentencepiece(
    path: str | os.PathLike, *, config: Mapping[str, Any] | None = None, chat_template: str | None = None
) -> HfTokenizer:
    """Loads the tokenizer of a SentencePiece model file, unigram or BPE.

    A model without a beginning of sequence ends its texts instead, as T5's does.

    Args:
      path: the model file.
      config: what a tokenizer_config.json beside it says; the model's own special tokens are the default. T5's
        ``extra_ids`` are so many sentinels behind the pieces, ``<extra_id_0>`` the last.
      chat_template: Jinja source; None writes chats as ``role: content``.

    Returns:
      The tokenizer.
    """
    return HfTokenizer(*read_sentencepiece(path, config or {}), chat_template=chat_template)


def read_sentencepiece(
    path: str | os.PathLike, config: Mapping[str, Any]
) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """What an :class:`HfTokenizer` is made of: the model as a tokenizer, and ``config`` with its special tokens."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(pathlib.Path(path).read_bytes())
    backend = tokenizers.Tokenizer(_model(proto))
    backend.normalizer = _normalizer(proto.normalizer_spec)
    backend.decoder = _decoder(proto.normalizer_spec)
    for piece in proto.pieces:
        special = piece.type in (_Piece.CONTROL, _Piece.UNKNOWN)
        if special or piece.type == _Piece.USER_DEFINED:
            backend.add_tokens([tokenizers.AddedToken(piece.piece, special=special, normalized=False)])
    for number in reversed(range(_count_sentinels(config))):
        backend.add_tokens([tokenizers.AddedToken(f"<extra_id_{number}>", special=True, normalized=False)])
    ids = {"bos": proto.trainer_spec.bos_id, "eos": proto.trainer_spec.eos_id, "pad": proto.trainer_spec.pad_id}
    named = {f"{name}_token": proto.pieces[index].piece for name, index in ids.items() if index >= 0}
    if ids["bos"] >= 0:
        bos = named["bos_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, ids["bos"])]
        )
    elif ids["eos"] >= 0:
        eos = named["eos_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", pair=f"$A {eos} $B:1 {eos}:1", special_tokens=[(eos, ids["eos"])]
        )
    return backend, {**named, "unk_token": proto.pieces[proto.trainer_spec.unk_id].piece, **config}


def _count_sentinels(config: Mapping[str, Any]) -> int:
    """T5's; older files list them by name, in the order of their numbers and not of their ids."""
    listed = [token for token in extra_tokens(config) if re.fullmatch(r"<extra_id_\d+>", str(token))]
    return config.get("extra_ids", len(listed))


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """Lines in parts of some words: the trainer drops what is long, and learns a little less from what is longish."""
    for text in texts:
        for line in text.splitlines():
            yield from SOME_WORDS.findall(line)


def _model(proto) -> models.Model:
    spec = proto.trainer_spec
    if spec.model_type == spec.UNIGRAM:
        pieces = [(piece.piece, piece.score) for piece in proto.pieces]
        return models.Unigram(pieces, unk_id=spec.unk_id, byte_fallback=spec.byte_fallback)
    if spec.model_type == spec.BPE:
        vocab = {piece.piece: index for index, piece in enumerate(proto.pieces)}
        unknown = proto.pieces[spec.unk_id].piece
        return models.BPE(vocab, _merges(proto), unk_token=unknown, fuse_unk=True, byte_fallback=spec.byte_fallback)
    name = spec.DESCRIPTOR.enum_types_by_name["ModelType"].values_by_number[spec.model_type].name
    raise ValueError(f"expected a SentencePiece model of type UNIGRAM or BPE, got {name}")


def _merges(proto) -> list[tuple[str, str]]:
    """The pairs that make each piece, in the order in which SentencePiece prefers pieces: by score."""
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type == _Piece.NORMAL}
    splits = (
        (-score, piece[:cut], piece[cut:])
        for piece, score in scores.items()
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    )
    return [(left, right) for _, left, right in sorted(splits, key=lambda split: split[0])]


def _normalizer(spec) -> normalizers.Normalizer:
    steps = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps += [normalizers.Prepend(SPACE)]
    return normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])


def _decoder(spec) -> decoders.Decoder:
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if spec.add_dummy_prefix else steps)
