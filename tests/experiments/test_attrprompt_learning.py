"""The learner of experiments.attrprompt: one training for equal texts, what a probe remembers, and an export."""

import dataclasses

import numpy as np
import pytest

from experiments.attrprompt.comparison import Real, Texts
from experiments.attrprompt.learning import Learner
from experiments.attrprompt.worlds import Ground
from experiments.common.classifiers import probes, starts, training
from experiments.common.classifiers.settings import ClassifierTraining
from jaxalign.io import hf
from tests.attributes.tiny import TASK

LABELS = list(TASK.classes)
TUNING = ClassifierTraining(
    epochs=1, classifier_batch=8, text_lengths=(8,), encoder_size=(16, 1), encoder_words=16, classifier="fine-tuned"
)
TEXTS = Texts([f"{label} {n}" for n in range(3) for label in LABELS], [(label,) for _ in range(3) for label in LABELS])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A learner, its figures, and how often it has trained."""
    folder = tmp_path_factory.mktemp("learner")
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        train = training.train_classifier
        patch.setattr(training, "train_classifier", lambda *args, **more: calls.append(1) or train(*args, **more))
        learner = Learner(TUNING, Ground(TASK, Real(TEXTS, TEXTS)), folder, 0, TEXTS.texts)
        rows = [learner.learn(TEXTS, TEXTS), learner.learn(TEXTS, TEXTS)]
        learner.export(TEXTS, folder / "exported")
    return folder, rows, calls


def test_equal_texts_are_learnt_from_once(trained):
    folder, (first, second), calls = trained
    assert first == second and 0 <= first["accuracy"].value <= 1
    assert len(calls) == 2  # the second is the export, which finds the training in its folder
    assert len([path for path in folder.iterdir() if path.name != "exported"]) == 1


def test_the_export_is_a_classifier_of_the_task(trained):
    config, _ = hf.load_pretrained(trained[0] / "exported")
    assert list(config.labels) == LABELS and not config.multi_label


def test_a_probe_reads_each_text_once(monkeypatch):
    tuning = dataclasses.replace(TUNING, classifier="probe")
    start = starts.make_start(TUNING, TEXTS.texts, 0)._replace(seen={})
    plain = probes.embed(start._replace(seen=None), tuning, TEXTS.texts)
    read, sizes = probes._read, []
    monkeypatch.setattr(
        probes, "_read", lambda start, tuning, texts: sizes.append(len(texts)) or read(start, tuning, texts)
    )
    found = probes.embed(start, tuning, TEXTS.texts[:4])
    again = probes.embed(start, tuning, [*TEXTS.texts[::-1], TEXTS.texts[0]])
    assert sizes == [4, len(TEXTS.texts) - 4]
    np.testing.assert_allclose(found, plain[:4], atol=1e-6)
    np.testing.assert_allclose(again, np.concatenate([plain[::-1], plain[:1]]), atol=1e-6)
