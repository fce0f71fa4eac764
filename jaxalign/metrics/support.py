"""Functions that say how well sources support a claim, without a model of entailment: by embeddings or by words.

Both are a :class:`jaxalign.typing.SupportFn`. Neither sees a negation: "the bridge was not built" is near "the bridge
was built". An entailment model in their place does.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxalign.metrics.similarity import embed_distinct
from jaxalign.metrics.text import check_texts, split_words
from jaxalign.typing import EmbedFn, SupportFn

# Those that say nothing by themselves; negations say something.
_FUNCTION_WORDS = frozenset(
    "a about after all also although an and any are as at be because been before being both but by can could did do "
    "does during each for from had has have he her hers him his how i if in into is it it's its itself may me might "
    "more most much my of on one or other our out over s she should since so some such than that the their them then "
    "there these they this those though through to too under until up upon us very was we were what when where which "
    "while who whom whose why will with would you your".split()
)


def make_embedding_support(embed: EmbedFn) -> SupportFn:
    """Returns a function that takes for support the highest cosine of a claim with any of its sources, at least 0.

    Sources should be of the length of a claim, for instance sentences: a long text has one embedding for all it says.

    Args:
      embed: makes ``[M, D]`` of M texts; called once in each call, with all different texts.

    Returns:
      ``support(claims, sources) -> [len(claims)]`` in [0, 1], 0 for a claim without sources.

    >>> support = make_embedding_support(lambda texts: np.array([[len(text), 1.0] for text in texts]))
    >>> print(support(["abc", "abc"], [["a", "xyz"], []]))
    [1. 0.]
    """

    def support(claims: Sequence[str], sources: Sequence[Sequence[str]]) -> Float[np.ndarray, "N"]:
        _check(claims, sources)
        rows = embed_distinct((text for texts in (claims, *sources) for text in texts), embed)
        # Claims of one article share their sources.
        stacked = {id(each): np.stack([rows[text] for text in each]) for each in sources if each}
        pairs = zip(claims, sources, strict=True)
        best = [np.max(stacked[id(each)] @ rows[claim]) if each else 0 for claim, each in pairs]
        return np.clip(np.array(best, np.float64), 0, 1)

    return support


def word_support(claims: Sequence[str], sources: Sequence[Sequence[str]]) -> Float[np.ndarray, "N"]:
    """Computes the share of a claim's content words, numbers included, that one of its sources has: the best source's.

    Words that say nothing by themselves, such as "the" and "was", are no content words. Different forms of a word are
    different words.

    Args:
      claims: sentences, English.
      sources: texts for each claim, of any length; more text has more words.

    Returns:
      ``[len(claims)]`` in [0, 1]; 0 for a claim without sources or without a content word.

    Raises:
      ValueError: if there are not sources for each claim.
      TypeError: if a single string is given for a sequence of them.

    >>> print(word_support(["The bridge opened in 1932."], [["A bridge of steel.", "It was opened in 1932."]]))
    [0.66666667]
    """
    _check(claims, sources)
    words = {text: frozenset(split_words(text)) for texts in (claims, *sources) for text in texts}
    content = [words[claim] - _FUNCTION_WORDS for claim in claims]
    pairs = zip(content, sources, strict=True)
    best = [max((len(mine & words[text]) for text in each), default=0) for mine, each in pairs]
    return np.array([found / max(len(mine), 1) for found, mine in zip(best, content, strict=True)], np.float64)


def _check(claims: Sequence[str], sources: Sequence[Sequence[str]]) -> None:
    check_texts("claims", claims)
    if len(claims) != len(sources):
        raise ValueError(f"expected sources for each claim, got {len(claims)} claims and {len(sources)} of sources")
    for each in {id(each): each for each in sources}.values():
        check_texts("sources of a claim", each)
