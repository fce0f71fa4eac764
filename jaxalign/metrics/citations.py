"""Citations in a text, marks such as ``[3]``: how many sentences have one, and whether they lead to a source.

Marks are ``[3]``, ``[1, 2]`` and ``[4-6]``, of which the two ends are looked at; a Markdown link ``[3](...)`` is none.
A mark behind the full stop belongs to the sentence before it. A line that begins with a mark is an entry of a list of
references, and neither a sentence nor a mark. A year in square brackets is read as a mark: it has no source.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxalign.metrics.text import check_texts, prose_sentences
from jaxalign.numerics import Ratio

_MARK = re.compile(r"\[ *[0-9]+(?: *[,;–-] *[0-9]+)* *\](?!\()")
_ENTRY = re.compile(rf"^[ \t]*{_MARK.pattern}.*$", re.MULTILINE)
_BEHIND_STOP = re.compile(rf"""([.!?]+["'”’)]*)((?:[ \t]*{_MARK.pattern})+)""")


class CitationScores(NamedTuple):
    """What the marks of each text are worth: counts over counts, ``[N]``."""

    citing: Ratio  # sentences with a mark, over sentences
    resolving: Ratio  # numbers in marks that a source has, over numbers in marks


def citation_metrics(texts: Sequence[str], num_sources: Sequence[int]) -> CitationScores:
    """Counts the sentences of each text that cite, and the citations that resolve to one of its numbered sources.

    Marks are ``[3]``, ``[1, 2]`` or ``[4-6]`` (its two ends), also behind the full stop. Headings and lines that begin
    with a mark, the entries of a list of references, are left out. Whether a source says what cites it is another
    question: see :func:`jaxalign.metrics.faithfulness_metric`.

    Args:
      texts: N articles.
      num_sources: for each the number S of its sources, 0 or more; these are numbered 1 to S.

    Returns:
      Citing sentences over sentences, and resolving numbers over numbers in marks, ``[N]`` each; 0 over 0 where a text
      has no sentence, or no mark.

    Raises:
      ValueError: if the numbers of texts and num_sources differ, or one of these is below 0.
      TypeError: if a single string is given for the texts, or an entry is no string.

    >>> scores = citation_metrics(["Bees fly.[1] They sting [2, 9]. So be it."], [3])
    >>> print(scores.citing.value, scores.resolving.value)
    [0.6666667] [0.6666667]
    """
    check_texts("texts", texts)
    if len(texts) != len(num_sources) or min(num_sources, default=0) < 0:
        raise ValueError(f"expected a number of sources, 0 or more, for each of {len(texts)} texts, got {num_sources}")
    counts = [_count(text, sources) for text, sources in zip(texts, num_sources, strict=True)]
    citing, sentences, resolving, numbers = np.array(counts, np.float32).reshape(-1, 4).T
    return CitationScores(
        Ratio(jnp.asarray(citing), jnp.asarray(sentences)), Ratio(jnp.asarray(resolving), jnp.asarray(numbers))
    )


def remove_citations(text: str) -> str:
    """Returns the text without marks such as ``[3]`` and without the entries of a list of references.

    Args:
      text: an article; of a line that begins with a mark nothing stays.

    >>> remove_citations("Bees fly.[1] They sting [2].\\n[1] A book.")
    'Bees fly. They sting.\\n'
    """
    return re.sub(rf"[ \t]*{_MARK.pattern}", "", _ENTRY.sub("", text))


def _count(text: str, num_sources: int) -> tuple[int, int, int, int]:
    before_stop = _BEHIND_STOP.sub(r"\2\1", _ENTRY.sub("", text))
    sentences = prose_sentences(before_stop)
    marks = [_MARK.findall(sentence) for sentence in sentences]
    numbers = [number for found in marks for mark in found for number in re.findall("[0-9]+", mark)]
    # Python refuses to read a number of thousands of digits.
    resolving = sum(len(number) < 10 and 1 <= int(number) <= num_sources for number in numbers)
    return sum(map(bool, marks)), len(sentences), resolving, len(numbers)
