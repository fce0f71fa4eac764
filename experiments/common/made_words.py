"""Words of made worlds: they can be said, and mean nothing anywhere else."""

import random
from collections.abc import Iterator

_ONSETS, _VOWELS, _CODAS = "b d f g k l m n p r s t v z br dr kl pr st tr".split(), "aeiou", "lnrst"


def distinct_words(rng: random.Random) -> Iterator[str]:
    """Yields words of two syllables, each once; there are 50,000.

    >>> words = distinct_words(random.Random(0))
    >>> [next(words) for _ in range(3)]
    ['vodit', 'droror', 'stekler']
    """
    seen: set[str] = set()
    while True:
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(2)) + rng.choice(_CODAS)
        if word not in seen:
            seen.add(word)
            yield word
