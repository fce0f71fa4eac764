"""What a run classifies: the made world."""

import collections

import numpy as np

from experiments.common.llm.chance import rng_of
from experiments.teleclass import world
from experiments.teleclass.learning import Lessons
from experiments.teleclass.methods import Test
from experiments.teleclass.pipeline import Corpus, sets_of
from jaxalign.taxonomy import split_words

COMMON = 0.1  # of the texts have a word that is no term of a class


class Made:
    """A made world with texts to learn from, whose labels only the ceiling and the figures see, and to test on."""

    def __init__(self, seed: int, num_texts: tuple[int, int]):
        self.world = made = world.make_world(seed)
        rng = rng_of("texts", seed)
        train = world.make_texts(made, num_texts[0], rng, all_classes=False)
        test = world.make_texts(made, num_texts[1], rng, all_classes=True)
        texts, embeddings, self.truth = self._read(train)
        self.corpus = Corpus(made.taxonomy, texts, embeddings, made.embed, _words)
        supervised = Lessons(
            embeddings, self.truth.astype(np.float32), np.ones_like(self.truth), np.ones(len(texts), np.float32)
        )
        self.test = Test(*self._read(test), supervised)

    def _read(self, texts: list[world.Text]):
        sets = sets_of([each.labels for each in texts], len(self.world.taxonomy))
        words = [each.text for each in texts]
        return words, self.world.embed(words), sets


def _words(texts: list[str]) -> list[str]:
    """The words of the texts that are not everywhere, in their alphabet: miners of phrases leave out common words."""
    counts = collections.Counter(word for text in texts for word in set(split_words(text)))
    return sorted(word for word, count in counts.items() if count <= COMMON * len(texts))
