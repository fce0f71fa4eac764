"""What a run leaves beside its report: the classifier, and the classes of every document."""

import pathlib

import numpy as np

from experiments.common.encoding import Encoder
from experiments.common.report import write_predictions
from experiments.teleclass.fine_tuning import FineTuner
from experiments.teleclass.methods import Answers
from experiments.teleclass.study import Study
from jaxalign import models
from jaxalign.io.cluster import launch
from jaxalign.io.hierarchy_model import HierarchyModel, save_hierarchy_model

CORES, PREDICTIONS = "cores.jsonl", "predictions.jsonl"


def write_classes(study: Study, answers: Answers, folder: pathlib.Path) -> None:
    """Writes the core classes of the documents that were learnt from, and what test texts are given."""
    if not launch.is_main():
        return
    ids, refined = study.corpus.taxonomy.ids, study.labelled.refined
    rows = zip(study.corpus.texts, refined.cores, refined.confidences, refined.kept, strict=True)
    write_predictions(
        folder / CORES,
        (
            {"text": text, "cores": _named(ids, cores), "confidence": float(confidence), "kept": bool(kept)}
            for text, cores, confidence, kept in rows
        ),
    )
    tested = zip(study.test.texts, answers.sets, answers.scores, strict=True)
    write_predictions(
        folder / PREDICTIONS,
        (
            {"text": text, "labels": {ids[n]: float(scores[n]) for n in np.flatnonzero(given)}}
            for text, given, scores in tested
        ),
    )


def export(study: Study, answers: Answers, network: Encoder | FineTuner, folder: pathlib.Path) -> None:
    """Writes the classifier for ``tools.classify_hierarchy``: a head with the encoder that it stands on, or a network.

    Args:
      study: whose taxonomy it is.
      answers: of the method that is exported, with its parameters.
      network: what read the texts.
      folder: of the model.
    """
    if not launch.is_main():
        return
    if isinstance(network, FineTuner):
        config, params = network.config, answers.params
    else:
        backbone, width = network.network, answers.params["class_embeddings"].shape[1]
        config = models.MatchingConfig(backbone.model.config, study.corpus.taxonomy.ids, width, "mean")
        params = {"backbone": backbone.params, "head": answers.params}
    model = HierarchyModel(study.corpus.taxonomy, config, params, network.tokenizer, network.lengths[-1])
    save_hierarchy_model(folder, model)


def _named(ids, cores) -> list[str]:
    return [ids[number] for number in np.flatnonzero(cores)]
