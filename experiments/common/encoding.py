"""A frozen network that reads texts, names and terms: the mean of the states of each one's tokens."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from experiments.common import stages
from experiments.common.classifiers import reading
from jaxalign import data, models
from jaxalign.io import hf


class Encoder:
    """A network with its tokenizer, which remembers what it has read.

    Args:
      model: a Hugging Face directory or a hub id.
      text_lengths: of rows in tokens, growing; longer texts are cut.
    """

    def __init__(self, model: str, text_lengths: Sequence[int]):
        self.tokenizer = data.load_tokenizer(hf.resolve(model))
        self.network = stages.load_policy(model)
        self.lengths = reading.row_lengths(text_lengths, self.network)
        self.truncated = 0  # texts that were cut
        self._seen: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """Returns the mean state of each text, of any length."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._seen]:
            encoded = data.encode_texts(new, self.tokenizer, max_tokens=self.lengths[-1])
            self.truncated += encoded.truncated
            read = functools.partial(models.embed_texts, self.network.model, self.network.params)
            self._seen.update(zip(new, reading.read_texts(read, encoded, self.lengths), strict=True))
        width = self.network.model.config.width
        return np.stack([self._seen[text] for text in texts]) if texts else np.zeros((0, width), np.float32)
