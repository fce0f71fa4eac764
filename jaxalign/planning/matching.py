"""Two texts of one length, so that whoever compares them cannot go by length."""

from jaxalign.metrics import split_sentences


def match_words(first: str, second: str) -> tuple[str, str]:
    """Cuts both texts to about as many words: those of the shorter one.

    The longer text ends with the last of its sentences that fits; where not even the first one fits, it is cut within
    it. Line breaks between sentences stay.

    Args:
      first: a text.
      second: a text to compare it with.

    Returns:
      Both texts, the shorter one as it is.

    >>> match_words("One. Two three. Four five six.", "Seven eight nine ten.")
    ('One. Two three.', 'Seven eight nine ten.')
    """
    limit = min(len(first.split()), len(second.split()))
    return _cut(first, limit), _cut(second, limit)


def _cut(text: str, limit: int) -> str:
    if len(text.split()) <= limit:
        return text
    end, words = 0, 0
    for sentence in split_sentences(text):
        words += len(sentence.split())
        if words > limit:
            break
        end = text.index(sentence, end) + len(sentence)
    return text[:end] if end else " ".join(text.split()[:limit])
