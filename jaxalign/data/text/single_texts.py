"""Texts that stand alone, for classifiers and encoders: token ids within a limit, and labels as numbers.

A text is as its tokenizer writes it: BERT's ``[CLS] text [SEP]``, behind a decoder's beginning of sequence. What is
typed in a text stays text: a ``[SEP]`` there separates nothing. A text that is too long keeps its beginning and the
tokens around it, and is counted.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from jaxalign.data.text.tokenizer import Tokenizer

TextLabels = Int[np.ndarray, "N"] | Float[np.ndarray, "N C"]


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedTexts:
    """The token ids of N texts, end to end in flat arrays: small, and cheap to send to a worker.

    Attributes:
      tokens: int32, text n is ``[starts[n]:starts[n + 1]]``.
      starts: int64 ``[N + 1]``.
      labels: int32 ``[N]``, the class of each text, -1 where it is not known; or float32 ``[N, C]``, the chance in
        [0, 1] that it has each class.
      pad_id: what batches are filled with.
      limit: the most tokens of a text.
      truncated: how many texts lost tokens.
    """

    tokens: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    pad_id: int
    limit: int
    truncated: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def text(self, index: SupportsIndex) -> Int[np.ndarray, "..."]:
        """The token ids of a text."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    @property
    def lengths(self) -> Int[np.ndarray, "N"]:
        """The tokens of each text."""
        return np.diff(self.starts)


def encode_text(text: str, tokenizer: Tokenizer, *, max_tokens: int) -> tuple[list[int], bool]:
    """Encodes a text that stands alone, as its tokenizer writes it.

    Args:
      text: the text.
      tokenizer: of the model.
      max_tokens: the most tokens, those around the text included; a longer text keeps its beginning.

    Returns:
      The token ids, and whether some of the text's were left out.

    Raises:
      ValueError: if it is no text, no token is made of it, or the limit leaves no room for it.
    """
    if not isinstance(text, str):
        raise ValueError(f"expected a text, got {type(text).__name__}")
    start, end = () if tokenizer.bos_id is None else (tokenizer.bos_id,), tokenizer.text_end_ids
    room = max_tokens - len(start) - len(end)
    if room < 1:
        raise ValueError(
            f"max_tokens={max_tokens} leaves no room for a text: its tokenizer writes {len(start) + len(end)} tokens "
            f"around it; raise max_tokens"
        )
    try:
        ids = tokenizer.encode(text)
    except TypeError as error:  # the tokenizers library's, of half a surrogate pair
        raise ValueError(f"cannot be encoded ({error}); remove characters that are not Unicode") from error
    if not (ids or start or end):
        raise ValueError("it is empty, and its tokenizer writes nothing around it; leave the text out")
    return [*start, *ids[:room], *end], len(ids) > room


def encode_texts(
    texts: Iterable[str], tokenizer: Tokenizer, *, max_tokens: int, labels: TextLabels | None = None
) -> EncodedTexts:
    """Encodes texts that stand alone, in their order, with their labels.

    Args:
      texts: N texts, at least one.
      tokenizer: of the model.
      max_tokens: the most tokens of a text, those around it included; a longer one keeps its beginning and is counted.
      labels: whole numbers ``[N]``, the class of each text from 0, -1 where it is not known (:func:`class_ids`); or
        ``[N, C]``, the chance in [0, 1] that it has each class (:func:`label_matrix`). None: not known.

    Returns:
      The token ids and labels; ``truncated`` says how many texts lost tokens.

    Raises:
      ValueError: naming the text that cannot be encoded; if there is none, or labels are not of these texts.
    """
    encoded = []
    for number, text in enumerate(texts):
        try:
            encoded.append(encode_text(text, tokenizer, max_tokens=max_tokens))
        except ValueError as error:
            raise ValueError(f"text {number}, counted from 0: {error}") from error
    return join_texts(encoded, pad_id=tokenizer.pad_id, limit=max_tokens, labels=labels)


def join_texts(
    encoded: Sequence[tuple[Sequence[int], bool]], *, pad_id: int, limit: int, labels: TextLabels | None = None
) -> EncodedTexts:
    """Makes encoded texts of what :func:`encode_text` gave for each of them.

    Args:
      encoded: for each of N texts, at least one, its token ids, and whether some were left out.
      pad_id: what batches are filled with.
      limit: the most tokens of a text.
      labels: whole numbers ``[N]``, or chances ``[N, C]`` in [0, 1]. None: not known.

    Returns:
      The texts, in their order.

    Raises:
      ValueError: if there is no text, or labels are not of these texts.
    """
    if not encoded:
        raise ValueError("expected one text or more, got none")
    return EncodedTexts(
        tokens=np.concatenate([ids for ids, _ in encoded]).astype(np.int32),
        starts=np.cumsum([0, *(len(ids) for ids, _ in encoded)]),
        labels=_checked(labels, len(encoded)),
        pad_id=pad_id,
        limit=limit,
        truncated=sum(truncated for _, truncated in encoded),
    )


def class_ids(labels: Iterable[str], names: Sequence[str]) -> Int[np.ndarray, "N"]:
    """Returns the number of each text's class, for classifiers of one class a text.

    Args:
      labels: the name of each text's class.
      names: of the classes, in the order of the logits (``ClassifierConfig.labels``).

    Returns:
      int32 ``[N]``.

    Raises:
      ValueError: naming the first label that is no class.
    """
    known = _numbers(names)
    return np.array([_number(label, known, row) for row, label in enumerate(labels)], np.int32)


def label_matrix(labels: Iterable[Iterable[str]], names: Sequence[str]) -> Float[np.ndarray, "N C"]:
    """Returns 1 for each class that a text has and 0 for the others, for classifiers of several classes a text.

    Args:
      labels: the names of each text's classes; none is none of them.
      names: of the C classes, in the order of the logits (``ClassifierConfig.labels``).

    Returns:
      float32 ``[N, C]``.

    Raises:
      ValueError: naming the first label that is no class; or if a text has one name and not several.
    """
    known, rows = _numbers(names), []
    for row, of_text in enumerate(labels):
        if isinstance(of_text, str):
            raise ValueError(f"text {row}, counted from 0, has the label {of_text!r}; expected a list of labels")
        rows.append(np.zeros(len(names), np.float32))
        rows[-1][[_number(label, known, row) for label in of_text]] = 1
    return np.stack(rows) if rows else np.zeros((0, len(names)), np.float32)


def _numbers(names: Sequence[str]) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(names)}
    if len(numbers) < len(names):
        raise ValueError(f"expected classes of different names, got {list(names)}")
    return numbers


def _number(label: str, known: Mapping[str, int], row: int) -> int:
    if label not in known:
        raise ValueError(f"text {row}, counted from 0, has the label {label!r}, which is none of {list(known)}")
    return known[label]


def _checked(labels: np.ndarray | None, count: int) -> np.ndarray:
    if labels is None:
        return np.full(count, -1, np.int32)
    whole = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    in_range = labels.min(initial=0) >= (-1 if whole else 0) and (whole or labels.max(initial=0) <= 1)
    if not in_range or len(labels) != count or not (whole or labels.ndim == 2):
        raise ValueError(
            f"expected labels of {count} texts, classes [N] from 0 (-1 where not known) or chances [N, C] in [0, 1], "
            f"got {labels.dtype} of shape {labels.shape} from {labels.min(initial=0)} to {labels.max(initial=0)}; make "
            f"them by class_ids or label_matrix"
        )
    return labels.astype(np.int32 if whole else np.float32)
