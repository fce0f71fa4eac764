"""Terms that a corpus seems to speak of: phrases by gensim, and frequent single words."""

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
