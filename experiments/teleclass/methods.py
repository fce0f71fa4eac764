"""TELEClass, its ablations, and what it is measured against, each with the tokens that it takes."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from experiments.common.llm.engine import Engine
from experiments.teleclass import learning, pipeline
from experiments.teleclass.learning import Lessons
from experiments.teleclass.pipeline import Corpus
from jaxalign import taxonomy as teleclass

FULL = "TELEClass"
NO_TERMS, NO_CORPUS, NO_GENERATION = "without terms of the model", "without terms of the corpus", "without generation"
GENERATED = "generated documents alone"
NAMES, MODEL_TERMS, CORPUS_TERMS = "cosine of names", "cosine of the model's terms", "cosine of all terms"
FLAT, LEVEL_WISE = "flat prompting", "level-wise prompting"
FREQUENT, SUPERVISED = "most frequent path", "supervised"
TOP = 3  # classes that a text is given


class Answers(NamedTuple):
    """What a method says of test texts: how it ranks classes, the set that it gives, and what it took."""

    scores: Float[np.ndarray, "N C"]
    sets: Bool[np.ndarray, "N C"]
    tokens: int = 0
    unread: int = 0


class Test(NamedTuple):
    """Texts to test on with their classes, and such texts to learn from, for the ceiling."""

    texts: Sequence[str]
    embeddings: Float[np.ndarray, "N D"]
    labels: Bool[np.ndarray, "N C"]
    supervised: Lessons


class Dials(NamedTuple):
    """How the classifier is trained, and how much a model writes."""

    steps: int
    learning_rate: float
    documents: int  # of each path
    terms: int  # of each class
    seed: int


def run(
    corpus: Corpus, test: Test, engine: Engine, dials: Dials
) -> tuple[dict[str, Answers], dict[str, pipeline.Labelled]]:
    """Returns what every method says of the test texts, and the core classes that TELEClass found on the way."""
    metered = functools.partial(_metered, engine)
    nothing = [()] * len(corpus.taxonomy)
    terms, took_terms = metered(
        lambda: (
            teleclass.propose_terms(
                engine.generate, corpus.taxonomy, document=corpus.kind, count=dials.terms, seed=dials.seed
            ).terms
        )
    )
    written, took_texts = metered(lambda: _write(corpus, engine, dials))
    generated = pipeline.generated_lessons(corpus, written.documents)
    labelled, took = {}, {}
    for name, known, mined in ((FULL, terms, True), (NO_TERMS, nothing, True), (NO_CORPUS, terms, False)):
        labelled[name], took[name] = metered(
            functools.partial(pipeline.label, corpus, engine.generate, known, mined=mined)
        )
    lessons = {name: learning.join(pipeline.core_lessons(corpus, each), generated) for name, each in labelled.items()}
    lessons[NO_GENERATION], lessons[GENERATED] = pipeline.core_lessons(corpus, labelled[FULL]), generated
    costs = {
        FULL: took_terms + took[FULL] + took_texts,
        NO_TERMS: took[NO_TERMS] + took_texts,
        NO_CORPUS: took_terms + took[NO_CORPUS] + took_texts,
        NO_GENERATION: took_terms + took[FULL],
        GENERATED: took_texts,
    }
    answers = {name: _learnt(corpus, test, each, dials, costs[name]) for name, each in lessons.items()}
    answers |= {
        NAMES: ranked(pipeline.similarities(corpus, nothing, test.embeddings)),
        MODEL_TERMS: ranked(pipeline.similarities(corpus, terms, test.embeddings), took_terms),
        CORPUS_TERMS: ranked(_known_terms(corpus, labelled[FULL], test), took_terms + took[FULL]),
    }
    for name, ask in ((FLAT, pipeline.prompt_flat), (LEVEL_WISE, pipeline.prompt_level_wise)):
        (sets, unread), tokens = metered(functools.partial(ask, corpus, engine.generate, test.texts))
        # Of what a model names, what is higher up is the safer guess.
        answers[name] = Answers(sets * (2.0 - corpus.taxonomy.levels / corpus.taxonomy.depth), sets, tokens, unread)
    answers[FREQUENT] = _most_frequent(corpus, test)
    answers[SUPERVISED] = _learnt(corpus, test, test.supervised, dials, 0)
    return answers, labelled


def ranked(scores: Float[np.ndarray, "N C"], tokens: int = 0) -> Answers:
    """Returns the answers of a ranking, of which the first classes are given."""
    return Answers(np.asarray(scores), np.asarray(teleclass.top_classes(jnp.asarray(scores), TOP)), tokens)


def _write(corpus: Corpus, engine: Engine, dials: Dials) -> teleclass.PathDocuments:
    options = {"count": dials.documents, "kind": corpus.kind, "seed": dials.seed}
    return teleclass.write_path_documents(engine.generate, corpus.taxonomy, **options)


def _known_terms(corpus: Corpus, labelled: pipeline.Labelled, test: Test) -> Float[np.ndarray, "N C"]:
    return pipeline.similarities(corpus, [terms[1:] for terms in labelled.terms], test.embeddings)


def _learnt(corpus: Corpus, test: Test, lessons: Lessons, dials: Dials, tokens: int) -> Answers:
    options = {"steps": dials.steps, "learning_rate": dials.learning_rate}
    params = learning.learn(lessons, corpus.embed(corpus.taxonomy.names), dials.seed, **options)
    return ranked(learning.probabilities(params, test.embeddings, len(corpus.taxonomy)), tokens)


def _most_frequent(corpus: Corpus, test: Test) -> Answers:
    """The path that most texts to learn from are on, whatever the text."""
    labels = test.supervised.labels > 0
    paths, counts = np.unique(labels, axis=0, return_counts=True)
    path = paths[counts.argmax()]
    scores = np.where(path, 2.0, 1.0) * labels.mean(axis=0)
    return Answers(np.broadcast_to(scores, test.labels.shape), np.broadcast_to(path, test.labels.shape))


def _metered(engine: Engine, call: Callable):
    before = engine.ledger.asked
    found = call()
    return found, engine.ledger.asked.minus(before).tokens
