"""How much of a text it has said before: runs of words and sentences that occur again within the same text.

What texts of a data set have in common is another question: see :func:`jaxalign.metrics.self_repetition`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxalign.metrics.citations import remove_citations
from jaxalign.metrics.diversity import Tokenize, distinct_n
from jaxalign.metrics.text import check_texts, prose_sentences, split_words
from jaxalign.numerics import Ratio


def repetition_metric(texts: Sequence[str], *, n: int = 4, tokenize: Tokenize = split_words) -> Ratio:
    """Computes the share of n-grams of each text that occurred before in the same text, in [0, 1].

    Longer texts repeat more: compare texts of similar lengths.

    Args:
      texts: N texts.
      n: words of an n-gram, 1 or more.
      tokenize: makes the words of a text; runs of letters and digits by default. For Chinese and Japanese there is
        :func:`jaxalign.metrics.split_units`.

    Returns:
      N-grams that are repeated over all n-grams, ``[N]``; 0 over 0 where a text has fewer than n words.

    Raises:
      ValueError: if n is below 1.
      TypeError: if a single string is given for the texts, or an entry is no string.

    >>> print(repetition_metric(["a b a b a"], n=2).value)  # ab, ba, and both again
    [0.5]

    Source: 1 - distinct-n (Li et al., arXiv 1510.03055) within a text; seq-rep-n of Welleck et al. (arXiv 1908.04319).
    """
    check_texts("texts", texts)
    distinct = [distinct_n([text], n=n, tokenize=tokenize) for text in texts]
    return _ratio([(float(found.denominator - found.numerator), float(found.denominator)) for found in distinct])


def repeated_sentences_metric(texts: Sequence[str]) -> Ratio:
    """Computes the share of sentences of each text that stood before in the same text, in [0, 1].

    Sentences are the same where their words are (:func:`jaxalign.metrics.split_words`), citations such as ``[3]`` left
    out. They are found by rules for English; headings are no sentences.

    Args:
      texts: N articles.

    Returns:
      Sentences that are repeated over all sentences, ``[N]``; 0 over 0 where a text has none.

    Raises:
      TypeError: if a single string is given for the texts, or an entry is no string.

    >>> print(repeated_sentences_metric(["# Bees\\nBees fly. They sting. BEES FLY!"]).value)
    [0.33333334]
    """
    check_texts("texts", texts)
    sentences = [[tuple(split_words(one)) for one in prose_sentences(remove_citations(text))] for text in texts]
    return _ratio([(len(each) - len(set(each)), len(each)) for each in sentences])


def _ratio(counts: Sequence[tuple[float | int, float | int]]) -> Ratio:
    return Ratio(*(jnp.asarray(column) for column in np.array(counts, np.float32).reshape(-1, 2).T))
