"""Pairs of questions that mean the same or not: a file of them, what they link, and how alike their words are."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Pairs(NamedTuple):
    """Two questions in each of P pairs, as places in ``texts``."""

    texts: Sequence[str]  # N different ones
    first: Int[np.ndarray, "P"]
    second: Int[np.ndarray, "P"]
    same: Bool[np.ndarray, "P"]  # whether both mean the same


def read_pairs(path: str | os.PathLike) -> Pairs:
    """Reads pairs of a Parquet file with the columns ``origin``, ``similar`` and ``label`` (1 for the same meaning).

    Args:
      path: the file.

    Raises:
      ValueError: if a column is missing, a question is empty, a label is neither 0 nor 1, or there are no rows.
    """
    import pyarrow.parquet

    names = ["origin", "similar", "label"]
    had = pyarrow.parquet.read_schema(path).names
    if missing := [name for name in names if name not in had]:
        raise ValueError(f"{path}: expected columns {names}, got {had}; rename or add {missing}")
    rows = pyarrow.parquet.read_table(path, columns=names).to_pylist()
    if not rows:
        raise ValueError(f"{path}: expected at least one row, got none; give a file with pairs")
    for number, row in enumerate(rows):
        texts = row["origin"], row["similar"]
        if row["label"] not in (0, 1) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(
                f"{path}, row {number}: expected two questions and a label 0 or 1, got {row}; leave it out"
            )
    return make_pairs([(row["origin"], row["similar"], bool(row["label"])) for row in rows])


def make_pairs(rows: Sequence[tuple[str, str, bool]]) -> Pairs:
    """Returns pairs of two texts and whether they mean the same; equal texts are one question."""
    places: dict[str, int] = {}
    sides = [[places.setdefault(text, len(places)) for text in row[:2]] for row in rows]
    first, second = np.asarray(sides).T
    return Pairs(list(places), first, second, np.asarray([row[2] for row in rows], bool))


def components(pairs: Pairs, where: Bool[np.ndarray, "P"] | None = None) -> Int[np.ndarray, "N"]:
    """Returns a number for each question, equal for those that a chain of pairs links.

    Args:
      pairs: the pairs.
      where: the pairs that link; None for all.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number, where = len(pairs.texts), slice(None) if where is None else where
    first, second = pairs.first[where], pairs.second[where]
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=(number, number))
    return connected_components(links, directed=False)[1]


def words(text: str) -> list[str]:
    """Returns the words of two letters and more, as scikit-learn's ``analyzer="word"``."""
    return re.findall(r"(?u)\b\w\w+\b", text.lower())


def pieces(text: str) -> Iterator[str]:
    """Yields runs of 3 to 5 characters within words and their edges, as scikit-learn's ``analyzer="char_wb"``."""
    for word in text.lower().split():
        padded = f" {word} "
        for length in (3, 4, 5):
            yield from (padded[start : start + length] for start in range(max(len(padded) - length, 0) + 1))
            if len(padded) <= length:  # a short word is there once
                break


def tfidf_cosines(pairs: Pairs, terms: Callable[[str], Iterable[str]] = words) -> Float[np.ndarray, "P"]:
    """Returns the cosines of both questions' terms, weighted by how rare they are: the floor for embeddings.

    Args:
      pairs: the pairs.
      terms: takes a text apart, :func:`words` or :func:`pieces`.

    Source: scikit-learn's ``TfidfVectorizer`` with its defaults; the weights are of the questions themselves.
    """
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    columns, ends = [], [0]
    for text in pairs.texts:
        columns += [vocabulary.setdefault(term, len(vocabulary)) for term in terms(text)]
        ends.append(len(columns))
    shape = len(pairs.texts), max(len(vocabulary), 1)
    counts = csr_array((np.ones(len(columns)), columns, ends), shape=shape)
    counts.sum_duplicates()
    documents = np.bincount(counts.indices, minlength=shape[1])
    counts.data *= (np.log((1 + shape[0]) / (1 + documents)) + 1)[counts.indices]
    lengths = np.sqrt(np.asarray((counts * counts).sum(axis=1)).ravel())
    products = np.asarray((counts[pairs.first] * counts[pairs.second]).sum(axis=1)).ravel()
    both = lengths[pairs.first] * lengths[pairs.second]
    return np.divide(products, both, out=np.zeros(len(both)), where=both > 0)
