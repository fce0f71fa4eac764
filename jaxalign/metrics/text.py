"""Words and sentences of a text, and how much of a reference it shares: ROUGE, computed by the ``rouge-score`` library.

The library comes with ``pip install 'jaxalign[experiments]'`` and is loaded on the first call. Its words are runs of
``a-z`` and ``0-9`` after lower-casing: a text in another script has none, and scores 0. :func:`split_words` knows all
scripts.
"""

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxalign.numerics import Ratio

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")

# Titles, and Latin and other shorthand that a name, a number or a clause follows. "etc." is none: it ends sentences.
_ABBREVIATIONS = frozenset("mr mrs ms dr prof st vs no fig eq e.g i.e cf al approx capt gen sen rep gov".split())
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+\S")
_BREAK = re.compile(
    r"""
    (?P<end> [.!?]+ ["'”’)\]]* )  # the stop, and what closes with it
    \s+ (?= ["'“‘(\[]* [A-Z0-9] )  # the next sentence begins
    """,
    re.VERBOSE,
)


class RougeScores(NamedTuple):
    """The scores of one kind of ROUGE, for each text: numerators in [0, 1] over ones, ``[N]``."""

    precision: Ratio  # the share of the text's units that the reference has
    recall: Ratio  # the share of the reference's units that the text has
    f1: Ratio  # their harmonic mean


def rouge(
    texts: Sequence[str], references: Sequence[str], *, types: Sequence[str] = ROUGE_TYPES, use_stemmer: bool = True
) -> dict[str, RougeScores]:
    """Computes ROUGE of each text against its reference; 0 where either has no words.

    Words are runs of ``a-z`` and ``0-9`` after lower-casing: a text in another script has none. Scores are kept per
    text, one Ratio entry each, as :func:`jaxalign.metrics.bootstrap_interval` wants them;
    ``jax.tree.map(jnp.sum, scores)["rougeL"].f1.value`` is their mean.

    Args:
      texts: what is judged.
      references: one for each text.
      types: ``"rouge1"`` to ``"rouge9"`` (runs of words), ``"rougeL"`` (the longest common subsequence of the complete
        texts), ``"rougeLsum"`` (of each sentence of the reference, united; sentences by :func:`split_sentences`).
      use_stemmer: whether "cats" matches "cat", by Porter's rules; most publications say yes.

    Returns:
      For each type precision, recall and F1, ``[N]`` each.

    Raises:
      ValueError: if numbers of texts and references differ, or a type is unknown.
      TypeError: if a single string is given for a sequence of them, or an entry is no string.

    >>> scores = rouge(["A cat sat."], ["The cat sat down."], types=["rouge1"])
    >>> print(scores["rouge1"].precision.value, scores["rouge1"].recall.value)
    [0.6666667] [0.5]

    Source: Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004.
    """
    from rouge_score.rouge_scorer import RougeScorer

    _check(texts, references, types)
    scorer = RougeScorer(list(types), use_stemmer=use_stemmer)
    # The library takes lines for sentences in rougeLsum; to the other types a line break is a space.
    pairs = zip(references, texts, strict=True)
    rows = [scorer.score(*("\n".join(split_sentences(text)) for text in pair)) for pair in pairs]
    return {name: RougeScores(*_columns([row[name] for row in rows])) for name in types}


def rouge_settings(*, use_stemmer: bool = True) -> str:
    """Returns what a ROUGE figure of :func:`rouge` depends on besides the texts, to be printed beside it.

    Args:
      use_stemmer: as :func:`rouge` was given it.

    >>> print(rouge_settings())
    rouge-score; words: runs of a-z and 0-9 in lower case; stemmer: Porter; rougeLsum: lines and the sentences in them
    by rules (split_sentences)
    """
    stemmer = "Porter" if use_stemmer else "none"
    return (
        f"rouge-score; words: runs of a-z and 0-9 in lower case; stemmer: {stemmer}; "
        "rougeLsum: lines and the sentences in them by rules (split_sentences)"
    )


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of an English text, by fixed rules: no model, no data to download, the same everywhere.

    A line break ends a sentence. So do ``.``, ``!`` and ``?``, with the quotes and brackets that close after them,
    where a space and then a capital or a digit follow, unless the stop belongs to an initial or a common abbreviation.

    Args:
      text: one or more lines; empty ones give nothing.

    >>> split_sentences('Mr. Smith paid 3.50 dollars. "Too much!" He left.')
    ['Mr. Smith paid 3.50 dollars.', '"Too much!"', 'He left.']
    """
    sentences = []
    for line in text.splitlines():
        start = 0
        for found in _BREAK.finditer(line):
            if not _is_abbreviation(line[start : found.start()], found["end"]):
                sentences.append(line[start : found.end("end")])
                start = found.end()
        sentences.append(line[start:])
    return [sentence.strip() for sentence in sentences if sentence.strip()]


def split_paragraphs(text: str) -> list[str]:
    """Returns the paragraphs of a text in Markdown: runs of lines between blank lines and headings.

    Headings, lines such as ``## Title``, are left out, and so is what has no letter or digit, such as a rule.

    Args:
      text: an article; empty ones give nothing.

    >>> split_paragraphs("# Life\\nShe was born.\\nShe grew.\\n\\nShe left.\\n***")
    ['She was born.\\nShe grew.', 'She left.\\n***']
    """
    lines = ("" if _HEADING.match(line) else line for line in text.splitlines())
    blocks = ("\n".join(block) for blank, block in itertools.groupby(lines, lambda line: not line.strip()) if not blank)
    return [block for block in blocks if any(map(str.isalnum, block))]


def prose_sentences(article: str) -> list[str]:
    """Returns the sentences of an article without its headings, by the rules of :func:`split_sentences`.

    Args:
      article: a text with headings such as ``## Title``; sentences without a letter or digit are left out.

    >>> prose_sentences("# Life\\nShe was born. She grew.")
    ['She was born.', 'She grew.']
    """
    sentences = (sentence for block in split_paragraphs(article) for sentence in split_sentences(block))
    return [sentence for sentence in sentences if any(map(str.isalnum, sentence))]


def split_words(text: str) -> list[str]:
    """Returns the words of a text in any script, by fixed rules: no model, no data to download, the same everywhere.

    The text is brought to one form first (NFKC, case folded, typographic apostrophes made straight), so that "Don’t"
    and "don't" are one word. A word is a run of letters and digits with their combining marks; an apostrophe between
    letters belongs to it, and all other signs part words. A script without spaces gives long runs: pass another
    tokenizer for Chinese or Japanese to the functions that take one.

    Args:
      text: one or more lines; empty ones give nothing.

    >>> split_words("Don’t re-enter room 12b, Zoë!")
    ["don't", 're', 'enter', 'room', '12b', 'zoë']
    """
    return _word().findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


@functools.cache
def _word() -> re.Pattern[str]:
    # Python's \w lacks the vowel signs of Indian scripts, and so would cut their words in pieces.
    marks = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M")]
    # As ranges, which match several times as fast as the 2,500 characters one by one.
    first = [code for code, before in zip(marks, [-1, *marks], strict=False) if code != before + 1]
    last = [code for code, after in zip(marks, [*marks[1:], -1], strict=True) if code != after - 1]
    ranges = "".join(f"{chr(low)}-{chr(high)}" for low, high in zip(first, last, strict=True))
    letters = rf"[^\W_]+(?:[{ranges}\u200c\u200d]+[^\W_]*)*"
    return re.compile(rf"{letters}(?:'{letters})*")


def _is_abbreviation(before: str, end: str) -> bool:
    words = before.split()
    if end != "." or not words:
        return False
    word = words[-1].lstrip("\"'“‘([")
    # "I" alone is rather the pronoun than an initial.
    initial = len(word) == 1 and word.isupper() and word != "I"
    return initial or word.lower() in _ABBREVIATIONS or re.fullmatch(r"([A-Za-z]\.)+[A-Za-z]", word) is not None


def check_texts(name: str, values: Sequence[str]) -> None:
    """Refuses what is no sequence of strings.

    Args:
      name: what the caller names them, for the error.
      values: the texts.

    Raises:
      TypeError: if a single string is given for a sequence of them, or an entry is no string.
    """
    if isinstance(values, str):
        raise TypeError(f"expected a sequence of strings as {name}, got the single string {values[:40]!r}; wrap it")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"expected strings as {name}, got {value!r} at index {index}")


def _check(texts, references, types):
    for name, values in (("texts", texts), ("references", references), ("types", types)):
        check_texts(name, values)
    if len(texts) != len(references):
        raise ValueError(f"expected one reference per text, got {len(texts)} texts and {len(references)} references")
    unknown = [name for name in types if not re.fullmatch(r"rouge([1-9]|L|Lsum)", name)]
    if unknown:
        raise ValueError(f"expected types rouge1 to rouge9, rougeL or rougeLsum, got {unknown}")


def _columns(scores) -> list[Ratio]:
    values = np.array(scores, np.float32).reshape(-1, 3)
    return [Ratio(jnp.asarray(column), jnp.ones(len(values), jnp.float32)) for column in values.T]
