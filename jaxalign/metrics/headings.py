"""How well the headings of an outline cover those of a gold outline, exactly and softly, and in which order.

An outline is a sequence of headings, here texts. Headings are compared in their normal form
(:func:`normalize_heading`), and one that is repeated counts once. Recall is kept for each outline as a number over 1,
so that sums divide into the mean over outlines, as STORM reports it; an outline without gold is 0 over 0.

Soft recall departs from STORM's code in this: cosines below 0 count as 0, where that code adds them up; headings that
differ in case, numbering or punctuation are one, where it compares characters; an article without gold headings is not
counted, where it fails. Like that code it does not cut off at 1, which an outline between the gold headings can exceed.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxalign.metrics.ranking import kendall_tau_metric
from jaxalign.metrics.similarity import embed_distinct, unit_vectors
from jaxalign.metrics.text import check_texts, split_words
from jaxalign.numerics import Ratio
from jaxalign.typing import EmbedFn

_SAME_DIRECTION = 1 - 1e-6  # of cosines: rounding of float32 embeddings stays far above, other headings far below
_APPENDICES = frozenset({"references", "external links", "see also", "notes"})
# A bare number is none: "2022 season" and "2023 season" are two headings.
_NUMBERING = re.compile(
    r"""
    [\W_]*  # marks of Markdown and brackets
    (?: [0-9]+(?:\.[0-9]+)+[.)]?(?=\s)  # 1.2
      | [0-9]+[.)](?![0-9])  # 1. or 1)
      | (?=[ivx])x{0,3}(?:ix|iv|v?i{0,3})[.)](?=\s)  # iv.
      | [a-z]\)(?=\s)  # a)
    )\s*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def normalize_heading(heading: str) -> str:
    """Returns the form in which headings are compared: no numbering before it, no punctuation, no case, single spaces.

    Numbering is ``1.``, ``1)``, ``1.2``, ``iv.`` or ``a)``; a number alone, as of a year, is part of the heading.
    Where nothing would be left, the heading keeps its signs.

    Args:
      heading: a title, with or without marks such as ``##``.

    >>> normalize_heading("## 1.2 Early  Life:"), normalize_heading("2022 season")
    ('early life', '2022 season')
    """
    heading = unicodedata.normalize("NFKC", heading)
    words = split_words(_without_numbering(heading)) or split_words(heading)
    return " ".join(words or heading.casefold().split())


def content_headings(headings: Sequence[str]) -> list[str]:
    """Returns the headings without those of an article's appendices, which say nothing about its subject.

    Appendices are "References", "External links", "See also" and "Notes". STORM's evaluation leaves them out, and so
    should every comparison: outlines of any two articles share them.

    Args:
      headings: an outline in order.

    >>> content_headings(["History", "See also", "References"])
    ['History']

    Source: STORM (arXiv 2402.14207), whose code ends the outline at the first line that has one of these words.
    """
    check_texts("headings", headings)
    return [heading for heading in headings if normalize_heading(heading) not in _APPENDICES]


def heading_recall_metric(outlines: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Ratio:
    """Computes the share of the different gold headings that an outline has, for each outline, in [0, 1].

    Headings are the same where :func:`normalize_heading` makes them so. Their order and level do not matter.

    Args:
      outlines: N outlines, each a sequence of headings.
      gold: the true headings of each, without appendices (:func:`content_headings`).

    Returns:
      Recall over 1, ``[N]``; 0 over 0 where there is no gold heading.

    Raises:
      ValueError: if the numbers of outlines differ.
      TypeError: if a string is given for an outline.

    >>> print(heading_recall_metric([["1. Life", "Death"]], [["Life", "Work", "work"]]).value)
    [0.5]
    """
    pairs = _distinct_pairs(outlines, gold)
    return _mean_of([len(outline.keys() & true.keys()) / len(true) if true else None for outline, true in pairs])


def soft_heading_recall(
    outline_embeddings: Float[np.ndarray, "P D"] | Float[Array, "P D"],
    gold_embeddings: Float[np.ndarray, "G D"] | Float[Array, "G D"],
    *,
    floor: float = 0.0,
) -> Ratio:
    r"""Computes how much of the gold headings' meaning an outline covers, from the embeddings of the headings.

    A set counts its members softly, two that are alike as little more than one:
    :math:`c(A) = \sum_i 1 / \sum_j s(a_i, a_j)`, and recall is :math:`(c(G) + c(P) - c(G \cup P)) / c(G)`. The
    similarity s is the cosine, and 0 where that is negative. Recall is 1 for the gold headings themselves, but far from
    0 for others: with all-MiniLM-L6-v2, the headings of other articles of FreshWiki have .70 on average. Outlines
    with more headings have more of it. Report it beside that of unrelated outlines, or take off what unrelated headings
    have in common by ``floor``.

    Args:
      outline_embeddings: ``[P, D]``, of any lengths; rows of one direction are one heading.
      gold_embeddings: ``[G, D]``, by the same encoder.
      floor: the cosine that counts as no similarity, in [0, 1): s is ``(cosine - floor) / (1 - floor)``, at least 0.
        STORM's definition has 0. With .3, other articles of FreshWiki have .13 on average, and 4 % of them above .4.

    Returns:
      Recall over 1, scalars, 0 over 0 without gold headings. It can exceed 1, where headings of the outline lie between
      those of the gold.

    Raises:
      ValueError: if an embedding is not finite, or floor is out of range.

    >>> gold = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> print(soft_heading_recall(gold[:1], gold).value)
    0.5

    Source: STORM (arXiv 2402.14207); the soft cardinality of Franti and Mariescu-Istodor, 2023.
    """
    if not 0 <= floor < 1:
        raise ValueError(f"floor: expected a cosine in [0, 1), got {floor}")
    if not len(gold_embeddings):
        return Ratio(jnp.float32(0), jnp.float32(0))
    if not len(outline_embeddings):
        return Ratio(jnp.float32(0), jnp.float32(1))
    rows, real = unit_vectors(np.concatenate([np.asarray(gold_embeddings), np.asarray(outline_embeddings)]))
    return Ratio(jnp.float32(_soft_recall(rows, real, len(gold_embeddings), floor)), jnp.float32(1))


def soft_heading_recall_metric(
    outlines: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], embed: EmbedFn, *, floor: float = 0.0
) -> Ratio:
    """Computes the soft recall of gold headings, :func:`soft_heading_recall`, for each outline.

    Args:
      outlines: N outlines, each a sequence of headings.
      gold: the true headings of each, without appendices (:func:`content_headings`).
      embed: makes ``[M, D]`` of M texts; called once with all different headings, their numbering taken off.
      floor: the cosine that counts as no similarity, in [0, 1); STORM's definition has 0, where unrelated outlines are
        far above 0.

    Returns:
      Recall over 1, ``[N]``; 0 over 0 where there is no gold heading. It can exceed 1.

    Raises:
      ValueError: if the numbers of outlines differ, floor is out of range, or embeddings are not one finite row a text.
      TypeError: if a string is given for an outline.

    >>> embed = lambda texts: np.array([[text.count("a"), text.count("b")] for text in texts], float)
    >>> print(soft_heading_recall_metric([["aa"], ["AB"]], [["a", "b"], ["1. ab"]], embed).value)
    [0.5 1. ]

    Source: STORM (arXiv 2402.14207).
    """
    pairs = _distinct_pairs(outlines, gold)
    # Of two spellings the gold one stands for both, so that they are one row.
    pairs = [([true.get(key, title) for key, title in outline.items()], list(true.values())) for outline, true in pairs]
    rows = embed_distinct((title for pair in pairs for titles in pair for title in titles), embed)
    width = len(next(iter(rows.values()), ()))
    stacked = [[np.array([rows[title] for title in titles]).reshape(-1, width) for titles in pair] for pair in pairs]
    found = [soft_heading_recall(outline, true, floor=floor) for outline, true in stacked]
    return _mean_of([float(each.numerator) if each.denominator else None for each in found])


def outline_order_metric(outlines: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Ratio:
    """Computes Kendall's tau of the order of the headings that an outline and its gold both have, in [-1, 1].

    A heading that is repeated stands where it stands first.

    Args:
      outlines: N outlines, each a sequence of headings.
      gold: the true headings of each.

    Returns:
      Tau over 1, ``[N]``; 0 over 0 where fewer than two headings are shared, of which there is no order. The sum of
      the denominators says how many outlines counted.

    Raises:
      ValueError: if the numbers of outlines differ.
      TypeError: if a string is given for an outline.

    >>> print(outline_order_metric([["Work", "Life"], ["Life"]], [["Life", "Work"], ["Life"]]))
    Ratio(numerator=Array([-1.,  0.], dtype=float32), denominator=Array([1., 0.], dtype=float32))
    """
    pairs = _distinct_pairs(outlines, gold)
    places = [[list(true).index(key) for key in outline if key in true] for outline, true in pairs]
    most = max(map(len, places), default=0)
    table = np.array([row + [0] * (most - len(row)) for row in places], np.float32).reshape(len(places), most)
    where = np.arange(most) < np.array([len(row) for row in places], int)[:, None]
    order = np.broadcast_to(np.arange(most, dtype=np.float32), table.shape)
    if not table.size:
        return _mean_of([None] * len(places))
    return _taus(jnp.asarray(order), jnp.asarray(table), jnp.asarray(where))


@jax.jit
def _taus(scores, labels, where) -> Ratio:
    return jax.vmap(kendall_tau_metric)(scores, labels, where=where)


def _without_numbering(heading: str) -> str:
    return heading[found.end() :] if (found := _NUMBERING.match(heading)) else heading


def _distinct_pairs(outlines, gold) -> list[tuple[dict[str, str], dict[str, str]]]:
    """The different headings of each outline and its gold: normal forms, and the titles without numbering."""
    if len(outlines) != len(gold):
        raise ValueError(f"expected one gold outline per outline, got {len(outlines)} and {len(gold)}")
    for name, each in (("outlines", outlines), ("gold", gold)):
        for index, headings in enumerate(each):
            check_texts(f"headings of {name}[{index}]", headings)
    return [(_distinct(outline), _distinct(true)) for outline, true in zip(outlines, gold, strict=True)]


def _distinct(headings: Iterable[str]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for heading in headings:
        if key := normalize_heading(heading):
            titles.setdefault(key, _without_numbering(heading).strip(" #*_\t") or heading)
    return titles


def _soft_recall(rows: np.ndarray, real: np.ndarray, num_gold: int, floor: float) -> float:
    cosines = rows @ rows.T
    # Rows of zeros have no direction: one heading, unlike all others.
    same = (cosines > _SAME_DIRECTION) | ~(real[:, None] | real[None])
    first = np.argmax(same, axis=1)
    similarity = np.where(same, 1.0, np.clip((cosines - floor) / (1 - floor), 0, 1))
    gold, outline, union = (
        np.sum(1 / np.sum(similarity[np.ix_(members, members)], axis=1))
        for members in map(np.unique, (first[:num_gold], first[num_gold:], first))
    )
    return float((gold + outline - union) / gold)


def _mean_of(values: Sequence[float | None]) -> Ratio:
    """Values over 1; 0 over 0 for None."""
    numerators = np.array([value or 0 for value in values], np.float32)
    return Ratio(jnp.asarray(numerators), jnp.asarray(np.array([value is not None for value in values], np.float32)))
