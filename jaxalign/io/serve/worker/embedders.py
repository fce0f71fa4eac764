"""What embeds texts: by hashing of words, by an encoder in this process, or by a server.

An embedder's id changes with all that its vectors depend on, so that vectors of two embedders are never compared. What
is longer than an embedder reads is embedded by its beginning, and said to be cut: texts with a long common beginning
would look equal, so that they are no examples and are shown none.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import httpx
import numpy as np
from jaxtyping import Bool, Float

from jaxalign.io.serve.config import Embedder as Settings
from jaxalign.prompting import guess_tokens

LONGEST_TEXT = 32_768  # characters that any embedder reads
NO_TEXT = "."  # stands for a blank one, which servers and tokenizers refuse
_WORDS = re.compile(r"\w+")


class EmbedderError(Exception):
    """Texts could not be embedded: the server is gone, or its answer is of another form."""


class Embedded(NamedTuple):
    """N texts as vectors of length 1."""

    vectors: Float[np.ndarray, "N D"]  # float32
    cut: Bool[np.ndarray, "N"]  # True for texts of which only the beginning was read


@runtime_checkable
class Embedder(Protocol):
    """Something that embeds texts, from any thread.

    Attributes:
      id: tells its vectors from those of others.
      width: D, the dimension of its vectors.
    """

    id: str
    width: int

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns the vectors of texts; raises EmbedderError where that fails.

        Args:
          texts: N of them, 0 or more.
        """

    def warm_up(self) -> None:
        """Compiles what embedding needs, so that no later call does."""

    def close(self) -> None:
        """Gives back what it holds; it embeds no more."""


def make_embedder(settings: Settings, *, seconds: float) -> Embedder:
    """Makes the embedder that the settings name.

    Args:
      settings: its kind, and where it comes from.
      seconds: that a server may take.
    """
    if settings.kind == "encoder":
        from jaxalign.io.serve.worker.encoder import EncoderEmbedder

        return EncoderEmbedder(settings.source, settings.max_tokens)
    return ServerEmbedder(settings, seconds) if settings.kind == "server" else HashEmbedder(settings.width)


def make_id(*parts: object) -> str:
    """Returns an id of an embedder.

    Args:
      parts: its kind, and all that its vectors depend on.
    """
    return f"{parts[0]}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


class HashEmbedder:
    """Signed hashing of lower-cased words and pairs of words, the same on every machine.

    Args:
      width: D.
    """

    def __init__(self, width: int):
        self.width = width
        self.id = make_id("hash", 1, width, LONGEST_TEXT)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns the vectors of texts.

        Args:
          texts: N of them.
        """
        vectors = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            words = _WORDS.findall(text[:LONGEST_TEXT].lower())
            pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
            for feature in words + pairs:
                place, sign = self._place(feature)
                vectors[row, place] += sign
            if not vectors[row].any():  # no word, or all cancel each other
                vectors[row, self._place(text)[0]] = 1
        return Embedded(unit(vectors), np.array([len(text) > LONGEST_TEXT for text in texts], bool))

    def warm_up(self) -> None:
        """Does nothing: there is nothing to compile."""

    def close(self) -> None:
        """Does nothing: it holds nothing."""

    def _place(self, feature: str) -> tuple[int, int]:
        drawn = int.from_bytes(hashlib.blake2b(feature.encode(errors="replace"), digest_size=8).digest(), "big")
        return (drawn >> 1) % self.width, 1 if drawn & 1 else -1


class ServerEmbedder:
    """An OpenAI-compatible server's ``/embeddings``.

    Args:
      settings: base URL, model, width, and the environment variable with the key.
      seconds: that an answer may take.
    """

    def __init__(self, settings: Settings, seconds: float):
        self.width, self._settings = settings.width, settings
        self.id = make_id(
            "server", settings.source.rstrip("/"), settings.model, settings.width, settings.max_tokens, LONGEST_TEXT
        )
        self._client = httpx.Client(timeout=seconds)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns the vectors that the server gives.

        Args:
          texts: N of them. What is longer than ``max_tokens``, as far as can be told without its tokenizer, is cut.

        Raises:
          EmbedderError: it gives none.
        """
        if not texts:
            return Embedded(np.zeros((0, self.width), np.float32), np.zeros(0, bool))
        most = self._settings.max_tokens
        cut = np.array([len(text) > LONGEST_TEXT or guess_tokens(text) > most for text in texts], bool)
        sent = [text[: min(LONGEST_TEXT, 2 * most)] if short else text for text, short in zip(texts, cut, strict=True)]
        key = os.environ.get(self._settings.key_env, "") if self._settings.key_env else ""
        body = {"model": self._settings.model, "input": [text.strip() or NO_TEXT for text in sent]}
        try:
            response = self._client.post(
                f"{self._settings.source.rstrip('/')}/embeddings",
                json=body | {"encoding_format": "float"},
                headers={"Authorization": f"Bearer {key}"} if key else {},
            ).raise_for_status()
            found = sorted(response.json()["data"], key=lambda each: each["index"])
            vectors = np.array([each["embedding"] for each in found], np.float32)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise EmbedderError(f"{self._settings.source}: no embeddings ({error})") from error
        if vectors.shape != (len(texts), self.width) or not np.isfinite(vectors).all():
            raise EmbedderError(
                f"{self._settings.source}: expected finite vectors [{len(texts)}, {self.width}], got "
                f"{list(vectors.shape)}; set embedder.width to what the model gives"
            )
        return Embedded(unit(vectors), cut)

    def warm_up(self) -> None:
        """Does nothing: there is nothing to compile."""

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()


def unit(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Returns vectors of length 1; the first axis's direction for those of length 0, as indices take no others.

    Args:
      vectors: any finite ones.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    first = np.zeros_like(vectors)
    first[:, 0] = 1
    return np.where(lengths > 0, vectors / np.where(lengths > 0, lengths, 1), first).astype(np.float32)
