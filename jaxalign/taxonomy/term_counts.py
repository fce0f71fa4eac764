"""Terms in texts, counted and found: whole words, whatever their case and marks, all terms and all texts at once."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Int

_WORD = re.compile(r"[^\W_]+")


class TextIndex(NamedTuple):
    """The words of texts, as numbers, one text after the other; :func:`index_texts` makes it.

    Attributes:
      vocabulary: the number of each word, from 0, in the order of first appearance.
      words: ``[N]``, the number of each word of the texts.
      texts: ``[N]``, the text that each word stands in, ascending.
      size: the number of texts, D; one may have no word.
    """

    vocabulary: dict[str, int]
    words: Int[np.ndarray, "N"]
    texts: Int[np.ndarray, "N"]
    size: int


class TermCounts(NamedTuple):
    """How often terms and single words stand in texts; :func:`count_terms` makes it.

    Attributes:
      terms: T terms in alphabetical order, each once, in lower case with a blank between words.
      terms_in_texts: a sparse matrix ``[D, T]``, how often each text has each term. Terms may overlap, and each counts:
        "hot sauce" is one "hot sauce" and one "sauce".
      words_in_texts: a sparse matrix ``[D, W]``, how often each text has each word of the vocabulary.
    """

    terms: tuple[str, ...]
    terms_in_texts: scipy.sparse.csr_array
    words_in_texts: scipy.sparse.csr_array


def split_words(text: str) -> list[str]:
    """Splits a text into words in lower case: runs of letters and digits; all other characters part words.

    So "Gluten-Free!", "gluten_free" and "gluten free" have the same words. Languages that do not part words by blanks
    need a tokenizer before this.

    Args:
      text: a document, or a term.

    >>> split_words("Gluten-Free hot_sauce, 12oz.")
    ['gluten', 'free', 'hot', 'sauce', '12oz']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def index_texts(texts: Sequence[str]) -> TextIndex:
    """Splits texts into numbered words, once for all that is counted in them.

    Args:
      texts: D documents.
    """
    vocabulary: dict[str, int] = {}
    numbers: list[int] = []
    lengths = np.zeros(len(texts), int)
    for place, text in enumerate(texts):
        words = split_words(text)
        lengths[place] = len(words)
        numbers.extend(vocabulary.setdefault(word, len(vocabulary)) for word in words)
    return TextIndex(vocabulary, np.array(numbers, int), np.repeat(np.arange(len(texts)), lengths), len(texts))


def count_terms(index: TextIndex, terms: Sequence[str]) -> TermCounts:
    """Counts terms in texts, whole words only, whatever the case and the marks between words.

    Args:
      index: the texts, from :func:`index_texts`.
      terms: such as ``"hot sauce"`` or ``"hot_sauce"``; those that have the same words are one term.

    Returns:
      The counts; its terms are sorted, so that nothing depends on the order in which they were given.

    Raises:
      ValueError: a term has neither a letter nor a digit.

    >>> counts = count_terms(index_texts(["Hot sauce. HOT-SAUCE!", "sauce"]), ["hot_sauce", "sauce"])
    >>> counts.terms, counts.terms_in_texts.toarray().tolist()
    (('hot sauce', 'sauce'), [[2, 2], [0, 1]])
    """
    names = tuple(sorted({" ".join(_words_of(term)) for term in terms}))
    text, term = _find_terms(index, names)
    return TermCounts(
        names,
        _counted(text, term, (index.size, len(names))),
        _counted(index.texts, index.words, (index.size, len(index.vocabulary))),
    )


def find_mentions(index: TextIndex, class_terms: Sequence[Sequence[str]]) -> scipy.sparse.csr_array:
    """Finds the texts that have one of a class's terms or more, for each class.

    Args:
      index: D texts, from :func:`index_texts`.
      class_terms: the terms of each of C classes, in any case and with blanks or underscores; a class may have none.

    Returns:
      A sparse matrix of bool ``[D, C]``, True where the text has one of the class's terms.

    Raises:
      ValueError: a term has neither a letter nor a digit.
    """
    spelt = [[" ".join(_words_of(term)) for term in terms] for terms in class_terms]
    names = tuple(sorted({term for terms in spelt for term in terms}))
    text, term = _find_terms(index, names)
    places = {name: place for place, name in enumerate(names)}
    owned = [(places[term], number) for number, terms in enumerate(spelt) for term in terms]
    owners = np.array(owned, int).reshape(-1, 2)
    has = _counted(owners[:, 0], owners[:, 1], (len(names), len(class_terms)))
    return (_counted(text, term, (index.size, len(names))) @ has).astype(bool).tocsr()


def _words_of(term: str) -> list[str]:
    if not (words := split_words(term)):
        raise ValueError(f"expected terms with a letter or a digit, got {term!r}; take it out")
    return words


def _find_terms(index: TextIndex, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The text and the term of each place where a term stands.

    The beginnings of terms are the nodes of a trie, which all places of all texts walk in step: a place is at the node
    of the words from there on, and goes on while there is a node for one word more.
    """
    spelt = [[index.vocabulary.get(word, -1) for word in name.split()] for name in names]
    known = [(term, words) for term, words in enumerate(spelt) if min(words) >= 0]
    nodes: dict[tuple[int, int], int] = {}  # (node, word) -> the node that is one word longer; 0 is the empty one
    ends: dict[int, int] = {}  # node -> the term that ends there
    for term, words in known:
        node = 0
        for word in words:
            node = nodes.setdefault((node, word), len(nodes) + 1)
        ends[node] = term
    width = max(len(index.vocabulary), 1)
    keys = np.array([node * width + word for node, word in nodes], int)
    order = np.argsort(keys)
    keys, targets = keys[order], np.arange(1, len(nodes) + 1)[order]
    term_at = np.full(len(nodes) + 1, -1)
    term_at[list(ends)] = list(ends.values())
    return _walk(index, keys, targets, term_at, width)


def _walk(index: TextIndex, keys, targets, term_at, width: int) -> tuple[np.ndarray, np.ndarray]:
    starts, at = np.arange(len(index.words)), np.zeros(len(index.words), int)
    found_texts, found_terms = [np.zeros(0, int)], [np.zeros(0, int)]
    offset = 0
    while len(starts) and len(keys):
        wanted = at * width + index.words[starts + offset]
        slot = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        alive = keys[slot] == wanted
        starts, at = starts[alive], targets[slot[alive]]
        ended = term_at[at] >= 0
        found_texts.append(index.texts[starts[ended]])
        found_terms.append(term_at[at[ended]])
        offset += 1
        inside = starts + offset < len(index.words)
        starts, at = starts[inside], at[inside]
        same = index.texts[starts] == index.texts[starts + offset]
        starts, at = starts[same], at[same]
    return np.concatenate(found_texts), np.concatenate(found_terms)


def _counted(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    """How often each pair of a row and a column stands there; duplicates add up."""
    ones = np.ones(len(rows), np.int64)
    return scipy.sparse.coo_array((ones, (rows, columns)), shape).tocsr()
