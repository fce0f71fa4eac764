"""TELEClass, its ablations, and what it is measured against, each with the tokens that it takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from experiments.teleclass import pipeline
from experiments.teleclass.learning import Lessons
from experiments.teleclass.pipeline import Prompted, Terms
from experiments.teleclass.study import Study
from jaxalign import taxonomy as teleclass

FULL = "TELEClass"
NO_TERMS, NO_CORPUS, NO_GENERATION = "without terms of the model", "without terms of the corpus", "without generation"
GENERATED = "generated documents alone"
NAMES, MODEL_TERMS, CORPUS_TERMS = "cosine of names", "cosine of the model's terms", "cosine of all terms"
PATHS = "cosine of all terms, by path"
FLAT, LEVEL_WISE = "flat prompting", "level-wise prompting"
FREQUENT, SUPERVISED = "most frequent path", "supervised"
TOP = 3  # classes that a text is given


class Answers(NamedTuple):
    """What a method says of test texts: how it ranks classes, the set that it gives, and what it took."""

    scores: Float[np.ndarray, "N C"]
    sets: Bool[np.ndarray, "N C"]
    tokens: int = 0
    unread: int = 0
    params: Any = None  # of the classifier, if there is one


class Method(NamedTuple):
    """How a method answers, and the stages that ask the model for it, by their names in a :class:`Study`."""

    answer: Callable[[Study], Answers]
    stages: Sequence[str] = ()
    labelled: str = ""  # the stage of its core classes
    needs_labels: bool = False  # of the documents to learn from


def answer(study: Study, name: str) -> Answers:
    """Returns what a method says of the test texts."""
    method = METHODS[name]
    answers = method.answer(study)
    return answers._replace(tokens=sum(study.took.get(stage, 0) for stage in method.stages))


def ask(study: Study, names: Sequence[str]) -> None:
    """Asks the model everything that some methods ask it, and trains nothing."""
    for name in names:
        for stage in METHODS[name].stages:
            getattr(study, stage)


def possible(*, model: bool, labels: bool) -> tuple[str, ...]:
    """Returns the methods that can be run with a model to ask or without, with labels to learn from or without."""
    prompting = {FLAT, LEVEL_WISE}
    return tuple(
        name
        for name, method in METHODS.items()
        if (model or name not in prompting) and (labels or not method.needs_labels)
    )


def ranked(scores: Float[np.ndarray, "N C"]) -> Answers:
    """Returns the answers of a ranking, of which the first classes are given."""
    return Answers(np.asarray(scores), np.asarray(teleclass.top_classes(jnp.asarray(scores), TOP)))


def _learns(name: str, lessons: Callable[[Study], Lessons]) -> Callable[[Study], Answers]:
    def answer(study: Study) -> Answers:
        learnt = study.learnt(name, lessons(study))
        return ranked(learnt.probabilities)._replace(params=learnt.params)

    return answer


def _compares(terms: Callable[[Study], Terms]) -> Callable[[Study], Answers]:
    return lambda study: ranked(_similarities(study, terms(study)))


def _compares_paths(study: Study) -> Answers:
    return ranked(pipeline.with_those_above(_similarities(study, _all_terms(study)), study.corpus.taxonomy))


def _similarities(study: Study, terms: Terms) -> Float[np.ndarray, "N C"]:
    return pipeline.similarities(study.corpus, terms, study.test.embeddings)


def _all_terms(study: Study) -> Terms:
    return [terms[1:] for terms in study.labelled.terms]


def _prompts(said: Callable[[Study], Prompted]) -> Callable[[Study], Answers]:
    def answer(study: Study) -> Answers:
        sets, unread = said(study)
        taxonomy = study.corpus.taxonomy
        # Of what a model names, what is higher up is the safer guess.
        return Answers(sets * (2.0 - taxonomy.levels / taxonomy.depth), sets, unread=unread)

    return answer


def _most_frequent(study: Study) -> Answers:
    """The path that most texts to learn from are on, whatever the text."""
    labels = study.test.supervised.labels > 0
    paths, counts = np.unique(labels, axis=0, return_counts=True)
    path = paths[counts.argmax()]
    scores = np.where(path, 2.0, 1.0) * labels.mean(axis=0)
    shape = study.test.labels.shape
    return Answers(np.broadcast_to(scores, shape), np.broadcast_to(path, shape))


_CORES = ("terms", "annotated")
METHODS: Mapping[str, Method] = {
    FULL: Method(_learns(FULL, lambda study: study.with_generated(study.labelled)), (*_CORES, "documents"), "labelled"),
    NO_TERMS: Method(
        _learns(NO_TERMS, lambda study: study.with_generated(study.labelled_by_names)),
        ("annotated_by_names", "documents"),
        "labelled_by_names",
    ),
    NO_CORPUS: Method(
        _learns(NO_CORPUS, lambda study: study.with_generated(study.labelled_unmined)),
        (*_CORES, "documents"),
        "labelled_unmined",
    ),
    NO_GENERATION: Method(
        _learns(NO_GENERATION, lambda study: pipeline.core_lessons(study.corpus, study.labelled)), _CORES
    ),
    GENERATED: Method(_learns(GENERATED, lambda study: study.generated), ("documents",)),
    NAMES: Method(_compares(lambda study: study.no_terms)),
    MODEL_TERMS: Method(_compares(lambda study: study.terms), ("terms",)),
    CORPUS_TERMS: Method(_compares(_all_terms), _CORES),
    PATHS: Method(_compares_paths, _CORES),
    FLAT: Method(_prompts(lambda study: study.flat), ("flat",)),
    LEVEL_WISE: Method(_prompts(lambda study: study.level_wise), ("level_wise",)),
    FREQUENT: Method(_most_frequent, needs_labels=True),
    SUPERVISED: Method(_learns(SUPERVISED, lambda study: study.test.supervised), needs_labels=True),
}
