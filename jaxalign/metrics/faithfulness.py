"""How much of an article its sources say: the share of its sentences that an injected function finds supported.

The figure is as good as that function (:class:`jaxalign.typing.SupportFn`) and its threshold: name both beside it, and
compare systems by the same ones only. Headings, citations such as ``[3]`` and the entries of a list of references are
no sentences.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from jaxalign.metrics.citations import remove_citations
from jaxalign.metrics.lengths import count_words
from jaxalign.metrics.text import check_texts, prose_sentences
from jaxalign.numerics import Ratio
from jaxalign.typing import SupportFn


def faithfulness_metric(
    articles: Sequence[str], sources: Sequence[Sequence[str]], support_fn: SupportFn, *, threshold: float
) -> Ratio:
    """Computes the share of each article's sentences that its sources support, in [0, 1].

    A sentence is supported where ``support_fn`` gives it ``threshold`` or more. Sentences are found by rules for
    English; headings and citations such as ``[3]`` are left out.

    Args:
      articles: N texts.
      sources: for each article the texts that it may rest on; without any, nothing is supported.
      support_fn: says for claims and the sources of each how far these say it, in [0, 1]; called once.
      threshold: the least support that counts, in (0, 1]; depends on ``support_fn``.

    Returns:
      Supported sentences over sentences, ``[N]``; 0 over 0 where an article has none.

    Raises:
      ValueError: if there are not sources for each article, threshold is out of range, or ``support_fn`` gives other
        than one number in [0, 1] a claim.
      TypeError: if a single string is given for a sequence of them.

    >>> from jaxalign.metrics import word_support
    >>> article = "# Bridge\\nIt opened in 1932. It is red."
    >>> print(faithfulness_metric([article], [["The bridge opened in 1932."]], word_support, threshold=0.8).value)
    [0.5]
    """
    judged = _judge(articles, sources, support_fn, threshold)
    counts = np.array([(each.supported.sum(), len(each.supported)) for each in judged], np.float32).reshape(-1, 2)
    return Ratio(*map(jnp.asarray, counts.T))


def faithfulness_along(
    articles: Sequence[str],
    sources: Sequence[Sequence[str]],
    support_fn: SupportFn,
    *,
    threshold: float,
    parts: int = 4,
) -> Ratio:
    """Computes faithfulness along the length of each article: the share of supported sentences in each part of it.

    Parts have the same number of words. A sentence belongs where its middle lies, so that each counts once and the sum
    over parts is that of :func:`jaxalign.metrics.faithfulness_metric`.

    Args:
      articles: N texts.
      sources: for each article the texts that it may rest on; without any, nothing is supported.
      support_fn: says for claims and the sources of each how far these say it, in [0, 1]; called once.
      threshold: the least support that counts, in (0, 1]; depends on ``support_fn``.
      parts: how many, 1 or more; 4 gives quarters.

    Returns:
      Supported sentences over sentences, ``[N, parts]``, from beginning to end; 0 over 0 where a part has none.

    Raises:
      ValueError: if there are not sources for each article, threshold or parts is out of range, or ``support_fn`` gives
        other than one number in [0, 1] a claim.
      TypeError: if a single string is given for a sequence of them.

    >>> from jaxalign.metrics import word_support
    >>> print(faithfulness_along(["Bees fly. Cats fly."], [["Bees fly."]], word_support, threshold=1.0, parts=2).value)
    [[1. 0.]]
    """
    if parts < 1:
        raise ValueError(f"parts: expected 1 or more, got {parts}")
    judged = _judge(articles, sources, support_fn, threshold)
    counts = np.zeros((2, len(judged), parts), np.float32)
    for row, each in enumerate(judged):
        ends = np.cumsum(each.words)
        # Twice the middle over twice the end, in whole numbers: a middle on a border belongs to the later part.
        place = (2 * ends - each.words) * parts // (2 * ends[-1:])
        counts[0, row] = np.bincount(place[each.supported], minlength=parts)
        counts[1, row] = np.bincount(place, minlength=parts)
    return Ratio(*map(jnp.asarray, counts))


class _Judged(NamedTuple):
    supported: Bool[np.ndarray, "S"]  # of each sentence of an article
    words: Int[np.ndarray, "S"]  # its length


def _judge(articles, sources, support_fn: SupportFn, threshold: float) -> list[_Judged]:
    check_texts("articles", articles)
    if len(articles) != len(sources):
        raise ValueError(
            f"expected sources for each article, got {len(articles)} articles and {len(sources)} of sources"
        )
    for index, each in enumerate(sources):
        check_texts(f"sources[{index}]", each)
    if not (math.isfinite(threshold) and 0 < threshold <= 1):
        raise ValueError(f"threshold: expected a support in (0, 1], got {threshold}; at 0 every sentence counts")
    claims = [prose_sentences(remove_citations(article)) for article in articles]
    of_each = [each for each, found in zip(sources, claims, strict=True) for _ in found]
    together = [claim for found in claims for claim in found]
    support = np.asarray(support_fn(together, of_each) if together else np.zeros(0))
    if support.shape != (len(together),) or not ((support >= 0) & (support <= 1)).all():
        raise ValueError(
            f"expected support_fn to give one number in [0, 1] for each of {len(together)} claims, got shape "
            f"{support.shape} with {support[~((support >= 0) & (support <= 1))][:3]} out of range"
        )
    supported = np.split(support >= threshold, np.cumsum([len(found) for found in claims])[:-1])
    words = [np.array([count_words(claim) for claim in found], int) for found in claims]
    return [_Judged(*each) for each in zip(supported, words, strict=True)] if claims else []
