"""An encoder in this process, in few static shapes, so that nothing is compiled once it is warm."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxalign import data, models
from jaxalign.data.text.single_texts import encode_text
from jaxalign.io import hf
from jaxalign.io.serve.worker.embedders import NO_TEXT, Embedded, make_id, unit
from jaxalign.typing import TextBatch

ROWS = (1, 4, 16)  # texts that are read at once
LENGTHS = (32, 128)  # tokens of their rows, and the most


class EncoderEmbedder:
    """The mean state of a text's tokens, as sentence encoders such as MiniLM have it.

    Args:
      source: a Hugging Face directory or hub id.
      max_tokens: that are read of a text, those around it included.

    Raises:
      ValueError: the network has no positions for any text.
    """

    def __init__(self, source: str, max_tokens: int):
        config, params = hf.load_pretrained(source)
        self._model, self._params = models.build(config), params
        self._tokenizer = data.load_tokenizer(hf.resolve(source))
        self.width = config.width
        most = min(max_tokens, config.max_length)
        self._lengths = (*(length for length in LENGTHS if length < most), most)
        weights, words = data.fingerprint(params), data.tokenizer_fingerprint(self._tokenizer)
        self.id = make_id("encoder", weights, words, self.width, most)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns the vectors of texts.

        Args:
          texts: N of them.
        """
        encoded = [self._encode(text) for text in texts]
        vectors = np.zeros((len(texts), self.width), np.float32)
        order = np.argsort([len(tokens) for tokens, _ in encoded], kind="stable")
        for first in range(0, len(order), ROWS[-1]):
            rows = order[first : first + ROWS[-1]]
            batch = self._batch([encoded[row][0] for row in rows])
            vectors[rows] = models.embed_texts(self._model, self._params, iter([batch]))
        return Embedded(unit(vectors), np.array([cut for _, cut in encoded], bool))

    def warm_up(self) -> None:
        """Compiles a program for each number of rows and each length."""
        for batch in self._shapes():
            models.embed_texts(self._model, self._params, iter([batch]))

    def close(self) -> None:
        """Does nothing: it holds arrays only."""

    def _encode(self, text: str) -> tuple[list[int], bool]:
        try:
            return encode_text(text, self._tokenizer, max_tokens=self._lengths[-1])
        except ValueError:  # no token is made of it
            return encode_text(NO_TEXT, self._tokenizer, max_tokens=self._lengths[-1])

    def _batch(self, encoded: Sequence[Sequence[int]]) -> TextBatch:
        rows = next(rows for rows in ROWS if rows >= len(encoded))
        length = next(length for length in self._lengths if length >= max(map(len, encoded)))
        return _text_batch(encoded, rows, length, self._tokenizer.pad_id)

    def _shapes(self) -> Iterator[TextBatch]:
        tokens, _ = self._encode(NO_TEXT)
        for rows in ROWS:
            for length in self._lengths:
                yield _text_batch([tokens], rows, length, self._tokenizer.pad_id)


def _text_batch(encoded: Sequence[Sequence[int]], rows: int, length: int, pad_id: int) -> TextBatch:
    tokens, mask = np.full((rows, length), pad_id, np.int32), np.zeros((rows, length), bool)
    for row, ids in enumerate(encoded):
        tokens[row, : len(ids)], mask[row, : len(ids)] = ids, True
    mask[len(encoded) :, 0] = True  # a row needs a token
    return TextBatch(tokens, mask, np.full(rows, -1, np.int32), np.arange(rows) < len(encoded))
