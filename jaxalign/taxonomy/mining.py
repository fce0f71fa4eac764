"""Candidates for the terms of classes: from a file of phrases, or mined from a corpus by gensim."""

from collections.abc import Sequence

import numpy as np

from jaxalign.taxonomy.term_counts import split_words


def mine_terms(texts: Sequence[str], *, min_count: int = 5, min_score: float = 0.4) -> tuple[str, ...]:
    """Finds candidates for the terms of classes: single words, and phrases of two to four words.

    A phrase is two words, or two phrases, that stand side by side more often than by chance: their normalised pointwise
    mutual information is high (gensim's ``Phrases`` with ``npmi``, run twice). English words such as "of" may stand
    within a phrase and do not count. A single word is a candidate if it has three letters or more, and is none of
    gensim's English stop words. What a phrase miner such as AutoPhrase wrote to a file may be taken instead.

    Args:
      texts: the documents, in English.
      min_count: how often a word or a phrase must stand in all of the texts.
      min_score: the least normalised mutual information of a phrase, from -1 to 1; 1 for words that never part.

    Returns:
      The terms in alphabetical order, in lower case with a blank between words.

    Raises:
      ModuleNotFoundError: gensim is not installed; the extra ``text`` has it.
    """
    from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS, Phrases
    from gensim.parsing.preprocessing import STOPWORDS

    documents = [split_words(text) for text in texts]
    found: set[str] = set()
    sentences = documents
    for _ in range(2):
        phrases = Phrases(
            sentences,
            min_count=min_count,
            threshold=min_score,
            scoring="npmi",
            delimiter=" ",
            connector_words=ENGLISH_CONNECTOR_WORDS,
        )
        found.update(phrases.export_phrases())
        sentences = [phrases[sentence] for sentence in sentences]
    words, counts = np.unique([word for document in documents for word in document], return_counts=True)
    for word in words[counts >= min_count].tolist():
        if len(word) > 2 and word.isalpha() and word not in STOPWORDS:
            found.add(word)
    return tuple(sorted(found))


def parse_phrases(text: str, *, min_score: float = 0.5) -> tuple[str, ...]:
    """Reads a file of phrases: one on each line, alone or behind its score and a tab, as AutoPhrase writes them.

    Args:
      text: the file. Blank lines do not count.
      min_score: the least score of a phrase of several words, 0.5 in AutoPhrase. A single word is a candidate whatever
        its score, as in the authors' code.

    Returns:
      The phrases as they stand, in the order of the file.

    Raises:
      ValueError: what stands before a tab is no number; the message has the line.

    >>> parse_phrases("0.95\\tzinc oxide\\n0.31\\tthe health\\n0.4\\tvitamins\\n\\nhot sauce")
    ('zinc oxide', 'vitamins', 'hot sauce')
    """
    kept = []
    for number, line in enumerate(text.splitlines(), 1):
        score, tab, phrase = line.rpartition("\t")
        try:
            worth = float(score) if tab else min_score
        except ValueError as error:
            raise ValueError(
                f"line {number}: expected a phrase, or a number, a tab and a phrase, got {line!r}; take the line out"
            ) from error
        if phrase.strip() and (worth >= min_score or len(split_words(phrase)) == 1):
            kept.append(phrase.strip())
    return tuple(kept)
