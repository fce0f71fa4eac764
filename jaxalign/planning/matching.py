"""Two texts of one length, so that whoever compares them cannot go by length."""

from jaxalign.metrics import split_sentences


def match_words(first: str, second: str) -> tuple[str, str]:
    """Cuts the longer of two texts to about as many words as the shorter one has.

    It ends with the sentence whose end is nearest to that number of words, so that it is as often a little longer as a
    little shorter. Line breaks between sentences stay.

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
    if not limit or len(text.split()) <= limit:
        return text if limit else ""
    end, words, ends = 0, 0, []
    for sentence in split_sentences(text):
        words += len(sentence.split())
        end = text.index(sentence, end) + len(sentence)
        ends.append((abs(words - limit), end))
    return text[: min(ends)[1]]
