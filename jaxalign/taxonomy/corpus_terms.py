"""Terms of classes found in a corpus: those that set a class apart from its siblings (TELEClass, step 2).

What is compared is a family: the children of one class, or the roots. A class's documents are those that have it, or a
class below it, as a core class. Arrays of a family are ``[S, T]``: S classes that have documents, T terms.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int, Real

from jaxalign.taxonomy.taxonomy import Taxonomy
from jaxalign.taxonomy.term_counts import TermCounts
from jaxalign.taxonomy.vectors import unit_rows

AffinityFn = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``affinity_fn(popularity, distinctiveness, similarity)``, all ``[S, T]`` and 0 or more; higher for better terms."""

CombineFn = Callable[[Sequence[Mapping[str, float]]], Mapping[str, float]]
"""``combine_fn(families)``: one affinity for each term of a class, out of those that it has in each of its families."""


class CorpusTerms(NamedTuple):
    """The terms of each of C classes, the best first.

    Attributes:
      terms: the terms; () for a class without documents, or whose terms all went to siblings.
      affinities: the affinity of each term.
      documents: ``[C]``, how many documents each class had.
    """

    terms: tuple[tuple[str, ...], ...]
    affinities: tuple[tuple[float, ...], ...]
    documents: Int[np.ndarray, "C"]


def class_bm25(
    term_counts: Real[np.ndarray, "S T"],
    document_counts: Real[np.ndarray, "S T"],
    lengths: Real[np.ndarray, "S"],
    most_documents: Real[np.ndarray, "S"],
    *,
    k: float = 1.2,
    b: float = 0.5,
) -> Float[np.ndarray, "S T"]:
    r"""Computes BM25 of terms in classes, each of which is one long document.

    .. math:: \frac{tf (k + 1)}{tf + k (1 - b + b \, dl / \overline{dl})} \cdot \frac{\log(1 + df)}{\log(1 + \max df)}

    Args:
      term_counts: ``[S, T]``, tf, how often the class's documents have the term.
      document_counts: ``[S, T]``, df, how many of the class's documents have it.
      lengths: ``[S]``, dl, how many words the class's documents have; their mean is that of these classes.
      most_documents: ``[S]``, max df, how many of the class's documents have its commonest word.
      k: how slowly the score saturates as a term is repeated.
      b: how much long classes are held back, from 0 to 1.

    Returns:
      ``[S, T]``, 0 where the class has no such term.

    >>> print(class_bm25(np.array([[4]]), np.array([[3]]), np.array([10]), np.array([7])).round(4))
    [[1.1282]]

    Source: TELEClass (arXiv 2403.00165), distinctiveness; k and b from the authors' code.
    """
    relative = (lengths / max(lengths.mean(), 1))[:, None]
    half = np.broadcast_to(k * (1 - b + b * relative), term_counts.shape)
    there = term_counts > 0
    saturated = np.divide(term_counts * (k + 1), term_counts + half, out=np.zeros(there.shape), where=there)
    return saturated * np.log1p(document_counts) / np.log1p(np.maximum(most_documents, 1))[:, None]


def distinctiveness(bm25: Real[np.ndarray, "S T"]) -> Float[np.ndarray, "S T"]:
    r"""Computes how much a term speaks for one class of a family rather than for another, or for none.

    .. math:: \frac{\exp(BM25(t, c))}{1 + \sum_{c'} \exp(BM25(t, c'))}

    The sum is over the whole family, the class included, as in the authors' code: a softmax with one more entry of 0.

    Args:
      bm25: ``[S, T]``, any finite numbers; high ones do not overflow.

    Returns:
      ``[S, T]``, from 0 to 1; over a family a term's sum is below 1.

    Source: TELEClass (arXiv 2403.00165), distinctiveness.
    """
    highest = np.maximum(bm25.max(axis=0, keepdims=True), 0)
    powers = np.exp(bm25 - highest)
    return powers / (np.exp(-highest) + powers.sum(axis=0, keepdims=True))


def geometric_affinity(
    popularity: Real[np.ndarray, "S T"],
    distinctiveness: Real[np.ndarray, "S T"],
    similarity: Real[np.ndarray, "S T"],
) -> Float[np.ndarray, "S T"]:
    """Computes the affinity of terms to classes as the paper does: the geometric mean of three numbers.

    Args:
      popularity: ``[S, T]``, log(1 + df).
      distinctiveness: ``[S, T]``, from 0 to 1.
      similarity: ``[S, T]``, cosines of 0 or more.

    Source: TELEClass (arXiv 2403.00165), affinity.
    """
    return np.cbrt(popularity * distinctiveness * similarity)


def weighted_affinity(
    popularity: Real[np.ndarray, "S T"],
    distinctiveness: Real[np.ndarray, "S T"],
    similarity: Real[np.ndarray, "S T"],
) -> Float[np.ndarray, "S T"]:
    """Computes the affinity of terms to classes as the authors' code does: pop^0.2 * dist^0.8 * sim.

    Args:
      popularity: ``[S, T]``, log(1 + df); the code takes it to base 2, which changes no order.
      distinctiveness: ``[S, T]``, from 0 to 1.
      similarity: ``[S, T]``, cosines of 0 or more.

    Source: the code of TELEClass (arXiv 2403.00165).
    """
    return popularity**0.2 * distinctiveness**0.8 * similarity


def intersect_families(families: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Keeps the terms that a class has in every family that it belongs to, with the lowest of their affinities.

    Args:
      families: the affinity of each term, for each family.

    >>> intersect_families([{"bone": 0.5, "toy": 0.9}, {"bone": 0.7}])
    {'bone': 0.5}
    """
    first, *others = families
    kept = {term: value for term, value in first.items() if all(term in other for other in others)}
    return {term: min(family[term] for family in families) for term in kept}


def unite_families(families: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Keeps all terms that a class has in one of the families that it belongs to, with the highest of their affinities.

    Args:
      families: the affinity of each term, for each family.

    >>> unite_families([{"bone": 0.5, "toy": 0.9}, {"bone": 0.7}])
    {'bone': 0.7, 'toy': 0.9}
    """
    united: dict[str, float] = {}
    for family in families:
        for term, value in family.items():
            united[term] = max(value, united.get(term, value))
    return united


def find_corpus_terms(
    taxonomy: Taxonomy,
    cores: Bool[np.ndarray, "D C"],
    counts: TermCounts,
    class_embeddings: Real[np.ndarray, "C E"],
    term_embeddings: Real[np.ndarray, "T E"],
    *,
    most: int = 20,
    min_count: int = 5,
    affinity_fn: AffinityFn = geometric_affinity,
    combine_fn: CombineFn = intersect_families,
) -> CorpusTerms:
    """Finds the terms of each class in a corpus whose documents have core classes.

    In each family a class takes the terms of highest affinity, and one that several siblings would take goes to the one
    of the highest. Nothing takes its place, so that a class may end with fewer than ``most``. Classes without documents
    are left out. Equal affinities go by the alphabet, then by the class's number: no order of a set plays a part.

    Args:
      taxonomy: the C classes.
      cores: ``[D, C]``, True for the core classes of each document; a document may have none.
      counts: T terms in the D documents, from :func:`count_terms`.
      class_embeddings: ``[C, E]``, of the classes' names, any length.
      term_embeddings: ``[T, E]``, of ``counts.terms``, from the same network.
      most: the most terms of a class.
      min_count: how often a term must stand in the documents of at least one class of the family.
      affinity_fn: :func:`geometric_affinity` (the paper's) or :func:`weighted_affinity` (the code's).
      combine_fn: what a class with several parents, and so in several families, keeps. By default what it has in all of
        them (:func:`intersect_families`, as in the authors' code), which may be nothing; :func:`unite_families` keeps
        everything.

    Raises:
      ValueError: the shapes do not fit each other.

    Source: TELEClass (arXiv 2403.00165), corpus-based taxonomy enrichment.
    """
    _check(taxonomy, cores, counts, class_embeddings, term_embeddings)
    tables = _class_tables(taxonomy, cores, counts)
    units = [unit_rows(each) for each in (class_embeddings, term_embeddings)]
    found: list[list[dict[str, float]]] = [[] for _ in taxonomy.names]
    for family in dict.fromkeys([taxonomy.roots, *filter(None, taxonomy.children)]):
        members = np.array([number for number in family if tables.documents[number]], int)
        if not len(members):
            continue
        affinities, columns = _family_affinities(tables, members, units, min_count, affinity_fn)
        taken = _share_out(affinities, most)
        for row, number in enumerate(members):
            places = np.flatnonzero(taken[row])
            found[number].append({counts.terms[columns[place]]: float(affinities[row, place]) for place in places})
    ranked = [sorted(combine_fn(each).items(), key=lambda item: (-item[1], item[0])) if each else () for each in found]
    return CorpusTerms(
        tuple(tuple(term for term, _ in each) for each in ranked),
        tuple(tuple(affinity for _, affinity in each) for each in ranked),
        tables.documents,
    )


class _Tables(NamedTuple):
    term_counts: scipy.sparse.csr_array  # [C, T]
    document_counts: scipy.sparse.csr_array  # [C, T]
    lengths: Int[np.ndarray, "C"]
    most_documents: Int[np.ndarray, "C"]
    documents: Int[np.ndarray, "C"]


def class_documents(taxonomy: Taxonomy, cores: Bool[np.ndarray, "D C"]) -> scipy.sparse.csr_array:
    """Finds the documents of each class: those that have it, or a class below it, as a core class.

    Args:
      taxonomy: the C classes.
      cores: ``[D, C]``, True for the core classes of each document.

    Returns:
      A sparse matrix of bool ``[D, C]``.
    """
    ancestors = scipy.sparse.csr_array(taxonomy.ancestors.astype(np.int64))
    return (scipy.sparse.csr_array(cores).astype(np.int64) @ ancestors).astype(bool).tocsr()


def _class_tables(taxonomy: Taxonomy, cores: np.ndarray, counts: TermCounts) -> _Tables:
    members = class_documents(taxonomy, cores).astype(np.int64).T.tocsr()
    words = counts.words_in_texts
    most = (members @ words.astype(bool).astype(np.int64)).max(axis=1)
    return _Tables(
        (members @ counts.terms_in_texts).tocsr(),
        (members @ counts.terms_in_texts.astype(bool).astype(np.int64)).tocsr(),
        members @ words.sum(axis=1),
        most.toarray().ravel() if words.shape[1] else np.zeros(len(taxonomy), int),
        members.sum(axis=1),
    )


def _family_affinities(tables, members, units, min_count, affinity_fn) -> tuple[np.ndarray, np.ndarray]:
    """Affinities ``[S, T']`` and which of the T terms they are of."""
    term_counts, document_counts = (each[members] for each in (tables.term_counts, tables.document_counts))
    columns = np.unique(term_counts.tocoo().col[term_counts.tocoo().data >= min_count])
    term_counts, document_counts = (each[:, columns].toarray() for each in (term_counts, document_counts))
    bm25 = class_bm25(term_counts, document_counts, tables.lengths[members], tables.most_documents[members])
    similarity = np.maximum(units[0][members] @ units[1][columns].T, 0)
    return affinity_fn(np.log1p(document_counts), distinctiveness(bm25), similarity), columns


def _share_out(affinities: np.ndarray, most: int) -> np.ndarray:
    """True at ``[S, T]`` where the class takes the term."""
    order = np.argsort(-affinities, axis=1, kind="stable")[:, :most]
    top = np.zeros(affinities.shape, bool)
    np.put_along_axis(top, order, True, axis=1)
    top &= affinities > 0
    wanted = np.where(top, affinities, -np.inf)
    return top & (np.arange(len(top))[:, None] == wanted.argmax(axis=0))


def _check(taxonomy, cores, counts, class_embeddings, term_embeddings) -> None:
    documents, terms = counts.terms_in_texts.shape
    expected = ((documents, len(taxonomy)), len(taxonomy), terms)
    got = (cores.shape, len(class_embeddings), len(term_embeddings))
    if expected != got:
        raise ValueError(
            f"expected cores of {expected[0]}, {expected[1]} embeddings of classes and {expected[2]} of terms, got "
            f"{got[0]}, {got[1]} and {got[2]}; embed taxonomy.names and counts.terms, in their order"
        )
