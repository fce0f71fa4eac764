"""A classifier from labelled texts: a network that is fine-tuned, or a probe; one class a text, or several.

tuning = ClassifierTraining(encoder="sentence-transformers/all-MiniLM-L6-v2")
trained = train_classifier(texts, labels, classes, directory, tuning, seed=0)
row = figures.evaluate(trained, test_texts, test_labels)  # the only look at the test set
export(trained, directory / "hf")
"""

import pathlib
from collections.abc import Sequence

from experiments.common.classifiers import fine_tuning, probes, starts
from experiments.common.classifiers.settings import ClassifierTraining, Start, Trained
from jaxalign import data
from jaxalign.data.text.single_texts import TextLabels
from jaxalign.io import hf
from jaxalign.io.cluster import launch

Labels = Sequence[str] | Sequence[Sequence[str]]
"""The class of each text, or the classes of each text."""


def train_classifier(
    texts: Sequence[str],
    labels: Labels,
    classes: Sequence[str],
    directory: pathlib.Path,
    tuning: ClassifierTraining,
    *,
    seed: int,
    start: Start | None = None,
) -> Trained:
    """Trains a classifier; the same call again continues the training in its folder, or reads what came of it.

    A fine-tuned classifier has the weights of the epoch that was best on a development part of the texts: by accuracy
    or, with several labels, micro-F1, and the lower loss among equals. A probe uses all texts and no folder.

    Args:
      texts: the texts.
      labels: the class of each, or a list of classes of each, which may be empty.
      classes: all there are, in the order of the probabilities.
      directory: the folder of the training.
      tuning: how to train.
      seed: draws the development part, the head, the order of texts, and an encoder from scratch.
      start: what to begin with, where the caller has it already; None: what ``tuning`` says.

    Raises:
      ValueError: a label is no class, there are fewer than 2 texts, or the folder holds a training of other texts or
        settings.
    """
    targets = encode_labels(labels, classes)
    if len(targets) != len(texts):
        raise ValueError(f"expected a label for each text, got {len(texts)} texts and {len(targets)} labels")
    start = start or starts.make_start(tuning, texts, seed)
    if tuning.classifier == "probe":
        return probes.fit(texts, targets, tuple(classes), start, tuning)
    return fine_tuning.fit(texts, labels, targets, tuple(classes), start, directory, tuning, seed)


def encode_labels(labels: Labels, classes: Sequence[str]) -> TextLabels:
    """Classes as numbers ``[N]``, or ``[N, C]`` with 1 for each class that a text has.

    Raises:
      ValueError: a label is no class, or some texts have one label and others a list.
    """
    alone = {isinstance(label, str) for label in labels}
    if len(alone) != 1:
        raise ValueError(f"expected one label of each text or a list for each, got {'both' if alone else 'no text'}")
    return data.class_ids(labels, classes) if alone == {True} else data.label_matrix(labels, classes)


def export(trained: Trained, directory: pathlib.Path) -> None:
    """Writes a fine-tuned classifier in Hugging Face format, for transformers and ``tools.classify``.

    Raises:
      ValueError: it is a probe.
    """
    if trained.network is None:
        raise ValueError("a probe is no sequence classifier of transformers; export a fine-tuned classifier")
    if launch.is_main():
        hf.save_pretrained(directory, trained.network.model.config, trained.network.params, trained.start.tokenizer)
