"""Classifiers on generated texts: each distinct set of texts is learnt from once, in a folder that its hash names."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from experiments.attrprompt.comparison import Texts
from experiments.attrprompt.worlds import Ground
from experiments.common.classifiers import figures, probes, starts, training
from experiments.common.classifiers.settings import ClassifierTraining, Start, Trained
from experiments.common.task import Row
from jaxalign.io import keys


class Learner:
    """Trains classifiers of one seed, which begin with the same network.

    Args:
      tuning: how they are trained.
      ground: the task and the words of its world.
      folder: where the trainings are kept.
      seed: of the trainings.
      texts: those that were written, whose words a new network knows if there are no real ones to learn from.
    """

    def __init__(
        self, tuning: ClassifierTraining, ground: Ground, folder: pathlib.Path, seed: int, texts: Sequence[str]
    ):
        self._tuning, self._ground, self._folder, self._seed = tuning, ground, folder, seed
        self._texts = texts
        self._known: dict[str, Row] = {}

    @functools.cached_property
    def _start(self) -> Start:
        world = self._ground.world
        texts = [" ".join(world.vocabulary())] if world else self._ground.real.train.texts or self._texts
        return starts.make_start(self._tuning, texts, self._seed)

    def learn(self, train: Texts, test: Texts) -> Row:
        """Returns the figures on ``test`` of a classifier that learnt from ``train``; each test is looked at once."""
        name = keys.digest([_name(train), _name(test)])
        if name not in self._known:
            self._known[name] = figures.evaluate(self._train(train), test.texts, self._labels(test))
        return self._known[name]

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """Returns what the network makes of texts before it learns; without one, their words."""
        return probes.embed(self._start, self._tuning, texts)

    def export(self, train: Texts, folder: pathlib.Path) -> None:
        """Writes the classifier that learnt from ``train``, for transformers and ``tools.classify``."""
        training.export(self._train(train), folder)

    def _train(self, texts: Texts) -> Trained:
        """Trains a classifier, or finds it in its folder."""
        return training.train_classifier(
            texts.texts,
            self._labels(texts),
            list(self._ground.task.classes),
            self._folder / _name(texts),
            self._tuning,
            seed=self._seed,
            start=self._start,
        )

    def _labels(self, texts: Texts) -> Sequence:
        """The label of each text, or its labels where the task has several."""
        return texts.labels if self._ground.task.labels_from else [label for (label,) in texts.labels]


def _name(texts: Texts) -> str:
    return keys.digest(list(map(list, texts)))[:16]
