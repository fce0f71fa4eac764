"""The length of a text against the length that was asked for."""

import re
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from jaxalign.metrics.text import split_paragraphs, split_words
from jaxalign.numerics import Ratio

# "_": a wrong length is told by _checked, in its own words.
Lengths = Sequence[float] | Sequence[int] | Num[np.ndarray, "_"] | Num[Array, "_"]

# Chinese characters with those of extensions and iteration marks, and Japanese kana.
_CHARACTER = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_UNIT = re.compile(rf"[{_CHARACTER}]|[^{_CHARACTER}]+")


def split_units(text: str) -> list[str]:
    """Returns what the length of a text is counted in: words, and in Chinese and Japanese the characters.

    Words are runs of letters and digits, in one case; signs are not counted, nor is a script without spaces such as
    Thai cut into words.

    Args:
      text: in any language or several.

    >>> split_units("Don’t 写 2 字！")
    ["don't", '写', '2', '字']
    """
    return [unit for word in split_words(text) for unit in _UNIT.findall(word)]


def count_words(text: str) -> int:
    """Returns the length of a text: its words, and in Chinese and Japanese its characters, without signs.

    LongWriter's own count differs: it leaves out numbers and words with accents, and takes "don't" for two words.

    Args:
      text: in any language or several.

    >>> count_words("Nine lives, 9 cats."), count_words("猫有九条命。")
    (4, 5)
    """
    return len(split_units(text))


def count_paragraphs(text: str) -> int:
    """Returns the number of paragraphs of a text in Markdown: blocks between blank lines and headings.

    Headings, and blocks without a letter or digit such as a rule, are no paragraphs; a list is one.

    Args:
      text: an article; empty ones have none.

    >>> count_paragraphs("# Life\\nBorn in May.\\n\\nA teacher.\\n***")
    2
    """
    return len(split_paragraphs(text))


def length_ratio_metric(lengths: Lengths, requested: Lengths) -> Ratio:
    """Computes the length of each text over the length that was asked for; 1 is exact.

    Args:
      lengths: ``[N]``, 0 or more, for instance by :func:`count_words`.
      requested: ``[N]``, above 0, in the same unit.

    Returns:
      Lengths over requested lengths, ``[N]``; summed, the length of all texts over all that was asked for.

    Raises:
      ValueError: if numbers of texts differ, or a length is out of range.

    >>> print(length_ratio_metric([50, 300], [100, 100]).value)
    [0.5 3. ]
    """
    got, wanted = _checked(lengths, requested)
    return Ratio(jnp.asarray(got, jnp.float32), jnp.asarray(wanted, jnp.float32))


def length_score_metric(lengths: Lengths, requested: Lengths) -> Ratio:
    r"""Computes LongWriter's length score of each text, in [0, 1]; the paper gives it in percent.

    With l' the length and l the requested one,

    .. math::
        S_l = \begin{cases} \max(0, 1 - (l'/l - 1) / 3) & l' > l \\ \max(0, 1 - (l/l' - 1) / 2) & l' \le l \end{cases}

    It is 1 where the length is exact, and 0 at four times of it and more, and at a third of it and less.

    Args:
      lengths: ``[N]``, 0 or more, for instance by :func:`count_words`.
      requested: ``[N]``, above 0, in the same unit.

    Returns:
      Scores over ones, ``[N]``: their sum divides into the mean over texts.

    Raises:
      ValueError: if numbers of texts differ, or a length is out of range.

    >>> print(length_score_metric([100, 250, 50, 0], [100, 100, 100, 100]).value)
    [1.  0.5 0.5 0. ]

    Source: LongWriter (arXiv 2408.07055), the evaluation of LongBench-Write.
    """
    got, wanted = _checked(lengths, requested)
    # An empty text is infinitely too short; any length below a third has the same score.
    short = wanted / np.maximum(got, wanted / 4)
    scores = np.where(got > wanted, 1 - (got / wanted - 1) / 3, 1 - (short - 1) / 2)
    return Ratio(jnp.asarray(np.maximum(scores, 0), jnp.float32), jnp.ones(len(scores), jnp.float32))


def _checked(lengths: Lengths, requested: Lengths) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    got, wanted = np.asarray(lengths, np.float64), np.asarray(requested, np.float64)
    if got.shape != wanted.shape or got.ndim != 1:
        raise ValueError(f"expected one requested length per length, [N] each, got {got.shape} and {wanted.shape}")
    if not (np.isfinite(got).all() and np.isfinite(wanted).all() and (got >= 0).all() and (wanted > 0).all()):
        raise ValueError(
            "expected finite lengths of 0 or more, and requested lengths above 0; leave out texts for which none was "
            f"requested; got lengths from {got.min()} to {got.max()}, requested from {wanted.min()} to {wanted.max()}"
        )
    return got, wanted
