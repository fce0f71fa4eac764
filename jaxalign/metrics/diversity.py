"""How varied the texts of a data set are: its vocabulary and the n-grams that its documents share.

All these numbers grow or fall with the number of documents: a larger set has more words, a smaller share of distinct
n-grams, and more documents to share one with. Compare sets of different sizes by :func:`at_equal_counts`. Nothing here
adds up over parts of a data set, since a word of both parts is one word.

``tokenize`` makes the words of a text, everywhere; an n-gram is a run of n words within one document.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxalign.metrics.text import split_words
from jaxalign.numerics import Ratio

Tokenize = Callable[[str], Sequence[str]]
Column = Sequence[Any] | Shaped[np.ndarray, "N ..."] | Shaped[Array, "N ..."]
Number = float | int | Float[Array, ""] | np.floating | np.integer


class SubsampledStatistic(NamedTuple):
    """A statistic averaged over subsamples of one size."""

    mean: float
    deviation: float  # standard deviation from one subsample to the next; 0 where there is only one
    count: int  # documents of a subsample
    num_subsamples: int


def at_equal_counts(
    statistic: Callable[..., Number], *columns: Column, count: int, num_subsamples: int = 20, seed: int = 0
) -> SubsampledStatistic:
    """Averages a statistic over random subsamples of ``count`` documents, so that data sets of other sizes compare.

    What is random is which documents a subsample holds: each is drawn without replacement, uniformly among all sets of
    ``count`` documents, independently of the other subsamples, and keeps the documents' order. The deviation says how
    much that choice matters. It is no confidence interval, and shrinks to 0 as ``count`` approaches all documents; at
    all of them there is one subsample, the complete data set.

    Args:
      statistic: takes the columns of a subsample and returns one number, for instance :func:`vocabulary_size`.
      columns: one or more of the same length N, such as texts, embeddings ``[N, D]`` and labels ``[N]``; their rows
        are drawn together. A sequence that is no array arrives as a list.
      count: documents of a subsample, 1 to N; the size of the smallest data set of a comparison.
      num_subsamples: how many are drawn, 1 or more.
      seed: the same one gives the same subsamples.

    Returns:
      Mean and standard deviation over subsamples, with their size and number.

    Raises:
      ValueError: if columns are missing or differ in length, or count or num_subsamples is out of range.

    >>> at_equal_counts(vocabulary_size, ["a b", "a c", "a d"], count=2)
    SubsampledStatistic(mean=3.0, deviation=0.0, count=2, num_subsamples=20)

    Source: sample-based rarefaction of ecology (Gotelli and Colwell, 2001), by simulation, so that it holds for any
    statistic.
    """
    total = _common_length(columns)
    if not 1 <= count <= total:
        raise ValueError(f"count: expected 1 to {total}, the number of documents, got {count}; take the smallest set's")
    if num_subsamples < 1:
        raise ValueError(f"num_subsamples: expected 1 or more, got {num_subsamples}")
    rng = np.random.default_rng(seed)
    draws = 1 if count == total else num_subsamples
    subsamples = (np.sort(rng.choice(total, count, replace=False)) for _ in range(draws))
    values = [float(statistic(*(_take(column, rows) for column in columns))) for rows in subsamples]
    deviation = float(np.std(values, ddof=1)) if draws > 1 else 0.0
    return SubsampledStatistic(float(np.mean(values)), deviation, count, draws)


def vocabulary_size(texts: Sequence[str], *, tokenize: Tokenize = split_words) -> int:
    """Returns how many different words the texts have together.

    Args:
      texts: the documents; none give 0.
      tokenize: makes the words of a text. By default words are runs of letters and digits of any script, regardless
        of case; see :func:`jaxalign.metrics.split_words`.

    Raises:
      TypeError: if a single string is given for a sequence of them.

    >>> vocabulary_size(["The cat sat.", "the dog sat"])
    4
    """
    return len({word for words in _documents(texts, tokenize) for word in words})


def distinct_n(texts: Sequence[str], *, n: int, tokenize: Tokenize = split_words) -> Ratio:
    """Returns the share of different n-grams among all n-grams of the texts (distinct-n), in [0, 1].

    Args:
      texts: the documents; those with fewer than n words have no n-gram.
      n: words of an n-gram, 1 or more.
      tokenize: makes the words of a text; runs of letters and digits by default.

    Returns:
      Different n-grams over n-grams, scalars; 0 over 0 where no text is long enough.

    Raises:
      ValueError: if n is below 1.
      TypeError: if a single string is given for a sequence of them.

    >>> print(distinct_n(["a b a b"], n=2).value)  # ab, ba, ab
    0.6666667

    Source: Li et al. (arXiv 1510.03055), with all documents taken together.
    """
    counts = Counter(ngram for words in _documents(texts, tokenize) for ngram in _ngrams(words, n))
    return _ratio(len(counts), counts.total())


def self_repetition(texts: Sequence[str], *, n: int = 4, tokenize: Tokenize = split_words) -> Ratio:
    """Returns the share of documents with an n-gram that another document has too, in [0, 1]; higher is less varied.

    Repetition within one document does not count.

    Args:
      texts: the documents; those with fewer than n words can share nothing and are left out.
      n: words of an n-gram, 1 or more.
      tokenize: makes the words of a text; runs of letters and digits by default.

    Returns:
      Documents that repeat another over documents of n words or more, scalars.

    Raises:
      ValueError: if n is below 1.
      TypeError: if a single string is given for a sequence of them.

    >>> print(self_repetition(["a b c", "b c d", "d e f"], n=2).value)  # the first two share bc
    0.6666667

    Source: after Salkar et al. (arXiv 2210.08145), who count the n-grams of four words or more that several outputs
    have; here the documents that have one are counted.
    """
    first_with: dict[tuple[str, ...], int] = {}
    repeating, long_enough = set(), 0
    for document, words in enumerate(_documents(texts, tokenize)):
        ngrams = set(_ngrams(words, n))
        long_enough += bool(ngrams)
        others = {first for ngram in ngrams if (first := first_with.setdefault(ngram, document)) != document}
        repeating |= others | ({document} if others else set())
    return _ratio(len(repeating), long_enough)


def inter_sample_ngram_frequency(texts: Sequence[str], *, n: int, tokenize: Tokenize = split_words) -> Ratio:
    """Returns in how many other documents an n-gram of a document occurs, on average; higher is less varied.

    Each document gives each of its n-grams once, and each of these pairs counts alike: with ``d`` documents that have
    an n-gram it is ``sum d (d - 1) / sum d`` over n-grams. It is 0 where no n-gram is shared, and ``N - 1`` where all N
    documents are the same; divided by ``N - 1`` it is the probability that another document has it. What DQI
    and AttrPrompt report under this name was made by other or unstated formulas, and is no reference for this one.

    Args:
      texts: the documents; those with fewer than n words have no n-gram.
      n: words of an n-gram, 1 or more.
      tokenize: makes the words of a text; runs of letters and digits by default.

    Returns:
      Other documents over pairs of a document and an n-gram, scalars.

    Raises:
      ValueError: if n is below 1.
      TypeError: if a single string is given for a sequence of them.

    >>> print(inter_sample_ngram_frequency(["a b c", "a b d"], n=2).value)  # ab 1, bc 0, ab 1, bd 0
    0.5

    Source: the name is of DQI (Mishra et al., arXiv 2005.00816) and AttrPrompt (arXiv 2306.15895).
    """
    documents = Counter(ngram for words in _documents(texts, tokenize) for ngram in set(_ngrams(words, n)))
    return _ratio(sum(count * (count - 1) for count in documents.values()), documents.total())


def _documents(texts: Sequence[str], tokenize: Tokenize) -> Iterator[Sequence[str]]:
    if isinstance(texts, str):
        raise TypeError(f"expected a sequence of strings as texts, got the single string {texts[:40]!r}; wrap it")
    return map(tokenize, texts)


def _ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    if n < 1:
        raise ValueError(f"n: expected 1 word or more, got {n}")
    return zip(*(words[start:] for start in range(n)), strict=False)


def _ratio(numerator: int, denominator: int) -> Ratio:
    return Ratio(jnp.float32(numerator), jnp.float32(denominator))


def _common_length(columns: tuple[Column, ...]) -> int:
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        raise ValueError(f"expected one column or more, all of one length, got lengths {[len(c) for c in columns]}")
    return lengths.pop()


def _take(column: Column, rows: np.ndarray) -> Any:
    return column[rows] if isinstance(column, np.ndarray | Array) else [column[row] for row in rows]
