"""What a seed of a run classifies: a made world, or documents from files."""

import collections
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.common.llm.chance import rng_of
from experiments.teleclass import authors_files, reading, world
from experiments.teleclass.fine_tuning import FineTuner
from experiments.teleclass.learning import LearnFn, labelled_lessons, learn_head
from experiments.teleclass.pipeline import Corpus, sets_of
from experiments.teleclass.settings import Files, Training
from experiments.teleclass.source import Source, Texts
from experiments.teleclass.study import Given, Test
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import split_words
from jaxalign.typing import EmbedFn

COMMON = 0.1  # of the texts: a word that more of them have is a candidate for the terms of no class


class Ground(NamedTuple):
    """What is classified, and what the files say of it beside the documents."""

    corpus: Corpus
    test: Test
    truth: np.ndarray | None  # classes of the documents to learn from, which only figures and the ceiling see
    given: Given
    learn: LearnFn


def make_world(seed: int, num_texts: tuple[int, int]) -> tuple[world.World, Source]:
    """Makes a world with texts to learn from, some classes of which have none, and to test on."""
    made = world.make_world(seed)
    rng = rng_of("texts", seed)
    parts = [
        world.make_texts(made, count, rng, all_classes=every)
        for count, every in zip(num_texts, (False, True), strict=True)
    ]
    corpus, test = (
        Texts([each.text for each in part], sets_of([each.labels for each in part], len(made.taxonomy)))
        for part in parts
    )
    return made, Source(made.taxonomy, corpus, test, phrases=_words([*corpus.texts]))


def read_source(files: Files) -> Source:
    """Reads what the flags name.

    Raises:
      ValueError: there is no taxonomy; naming the file and the row of what cannot be read, or of a class that is none.
    """
    if files.taxonomy is None:
        raise ValueError("expected --taxonomy FILE, with --corpus FILE; or a folder that has both; got none")
    taxonomy = teleclass.read_taxonomy(files.taxonomy)
    if files.corpus is None:
        return authors_files.read(files.taxonomy, taxonomy)
    return reading.read(files, taxonomy)


def ground(
    source: Source, parts: tuple[Texts, Texts], embed: EmbedFn, make_learn: Callable[[Source], LearnFn], kind: str
) -> Ground:
    """Embeds a source.

    Args:
      source: the taxonomy, and what is given beside the documents.
      parts: documents to learn from and to test on.
      embed: reads texts.
      make_learn: makes what trains classifiers of the taxonomy.
      kind: of document, in prompts.
    """
    train, test = parts
    embeddings = embed(train.texts)
    mine = teleclass.mine_terms if source.phrases is None else lambda texts: source.phrases
    corpus = Corpus(source.taxonomy, train.texts, embeddings, embed, mine, kind)
    truth = np.zeros((len(train.texts), len(source.taxonomy)), bool) if train.labels is None else train.labels
    tested = Test(test.texts, embed(test.texts), test.labels, labelled_lessons(train.texts, embeddings, truth))
    return Ground(corpus, tested, train.labels, Given(source.terms, source.documents), make_learn(source))


def head_learner(settings: Training, embed: EmbedFn, seed: int) -> Callable[[Source], LearnFn]:
    """Returns what makes learners of heads on a frozen network."""

    def make(source: Source) -> LearnFn:
        options = {"seed": seed, "steps": settings.steps, "learning_rate": settings.learning_rate}
        return functools.partial(learn_head, class_embeddings=embed(source.taxonomy.names), **options)

    return make


def fine_tuner(settings: Training, directory: pathlib.Path, seed: int) -> Callable[[Source], FineTuner]:
    """Returns what makes learners of whole networks."""
    return lambda source: FineTuner(settings, source.taxonomy, directory, seed)


def _words(texts: Sequence[str]) -> list[str]:
    """The words of the texts that are not everywhere, in their alphabet: miners of phrases leave common words out."""
    counts = collections.Counter(word for text in texts for word in set(split_words(text)))
    return sorted(word for word, count in counts.items() if count <= COMMON * len(texts))
