"""Classifiers on generated texts: each distinct set of texts is learnt from once, in a folder that its hash names."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from experiments.attrprompt.comparison import Texts
from experiments.attrprompt.worlds import Ground
from experiments.common.classifiers import figures, probes, starts, training
from experiments.common.classifiers.settings import ClassifierTraining, Start
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
        name = keys.digest({"train": list(map(list, train)), "test": list(map(list, test))})[:16]
        if name not in self._known:
            self._known[name] = self._learn(train, test, name)
        return self._known[name]

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """Returns what the network makes of texts before it learns; without one, their words."""
        return probes.embed(self._start, self._tuning, texts)

    def _learn(self, train: Texts, test: Texts, name: str) -> Row:
        several = bool(self._ground.task.labels_from)
        labels = [each.labels if several else [of[0] for of in each.labels] for each in (train, test)]
        options = {"seed": self._seed, "start": self._start}
        classes = list(self._ground.task.classes)
        trained = training.train_classifier(
            train.texts, labels[0], classes, self._folder / name, self._tuning, **options
        )
        return figures.evaluate(trained, test.texts, labels[1])
