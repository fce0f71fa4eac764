"""TELEClass, step by step: candidates, core classes, terms of the corpus, refinement; and what a model is asked."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from experiments.teleclass.learning import Lessons, labelled_lessons
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import Taxonomy
from jaxalign.taxonomy.vectors import unit_rows
from jaxalign.typing import EmbedFn, GenerateFn

Terms = Sequence[Sequence[str]]
"""Those of each class, in the order of the taxonomy."""
MOST_CORES = 3  # of a document, as in the authors' code: with all gaps a document of many classes keeps most of them
LEAST = 5  # times that a term must stand in the documents of a class


class Corpus(NamedTuple):
    """A taxonomy and texts without labels, and what embeds texts, names and terms in one space."""

    taxonomy: Taxonomy
    texts: Sequence[str]
    embeddings: Float[np.ndarray, "N D"]
    embed: EmbedFn
    mine: Callable[[Sequence[str]], Sequence[str]]  # candidates for the terms of classes
    kind: str = "text"  # of document, in prompts


class Annotated(NamedTuple):
    """The candidates of each document, and which of them are taken for its core classes."""

    candidates: Bool[np.ndarray, "N C"]
    cores: Bool[np.ndarray, "N C"]
    report: teleclass.AnnotationReport | None  # of the model's answers, if one was asked


class Labelled(NamedTuple):
    """What is taken for the core classes of documents, before and after refinement, and the terms that led there."""

    annotated: Annotated
    refined: teleclass.RefinedCores
    terms: Terms  # of each class its name, those of the model and those of the corpus


def annotate(corpus: Corpus, generate: GenerateFn | None, terms: Terms) -> Annotated:
    """Returns the core classes of all documents, which a model picks among candidates.

    Args:
      corpus: the documents.
      generate: the model; None takes the candidate that is most similar to the document instead.
      terms: of each class beside its name; empty ones leave names alone.
    """
    taxonomy = corpus.taxonomy
    found = similarities(corpus, terms, corpus.embeddings)
    candidates = teleclass.search_candidates(taxonomy, found)
    if generate is None:
        best = np.where(candidates, found, -np.inf).argmax(axis=1)
        return Annotated(candidates, sets_of(best[:, None].tolist(), len(taxonomy)), None)
    choices = [np.flatnonzero(row).tolist() for row in candidates]
    said = teleclass.annotate_documents(generate, taxonomy, corpus.texts, choices, kind=corpus.kind)
    cores = sets_of([annotation.classes for annotation in said], len(taxonomy))
    return Annotated(candidates, cores, teleclass.report_annotations(said))


def refine(corpus: Corpus, annotated: Annotated, terms: Terms, *, mined: bool) -> Labelled:
    """Returns core classes by the documents that have the terms of each class.

    Args:
      corpus: the documents.
      annotated: their core classes so far.
      terms: of each class beside its name, those of the model.
      mined: whether terms of the corpus are added.
    """
    taxonomy = corpus.taxonomy
    found = corpus_terms(corpus, annotated.cores) if mined else [()] * len(taxonomy)
    known = [
        tuple(dict.fromkeys((name, *of, *more))) for name, of, more in zip(taxonomy.names, terms, found, strict=True)
    ]
    mentions = teleclass.find_mentions(teleclass.index_texts(corpus.texts), known)
    standing = teleclass.class_documents(taxonomy, annotated.cores).multiply(mentions)
    units = unit_rows(corpus.embeddings)
    vectors = teleclass.average_class_documents(units, standing.tocsr())
    return Labelled(annotated, teleclass.refine_cores(units, vectors, most=MOST_CORES), known)


def corpus_terms(corpus: Corpus, cores: Bool[np.ndarray, "N C"]) -> Terms:
    """Returns the terms that the corpus has for each class."""
    index = teleclass.index_texts(corpus.texts)
    counts = teleclass.count_terms(index, corpus.mine(corpus.texts))
    frequent = counts.terms_in_texts.sum(axis=0) >= LEAST  # others would be embedded for nothing
    counts = teleclass.count_terms(index, np.array(counts.terms)[frequent].tolist())
    embeddings = corpus.embed(corpus.taxonomy.names), corpus.embed(counts.terms)
    return teleclass.find_corpus_terms(corpus.taxonomy, cores, counts, *embeddings, min_count=LEAST).terms


def similarities(corpus: Corpus, terms: Terms, embeddings: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N C"]:
    """Returns the largest cosine of each text with the name or a term of each class."""
    joined = teleclass.join_terms(corpus.taxonomy, terms)
    return teleclass.class_similarities(embeddings, corpus.embed(joined.texts), joined.classes, len(corpus.taxonomy))


def with_those_above(similarities: Float[np.ndarray, "N C"], taxonomy: Taxonomy) -> Float[np.ndarray, "N C"]:
    """Gives each class the largest similarity of those below it, and a little more, so that it comes before them."""
    highest = np.stack([similarities[:, below].max(axis=1) for below in taxonomy.descendants], axis=1)
    return highest + 1e-4 * (taxonomy.depth - taxonomy.levels)


def core_lessons(corpus: Corpus, labelled: Labelled) -> Lessons:
    """Returns what the documents teach whose core classes are the most certain."""
    kept = labelled.refined.kept
    masks = teleclass.core_masks(labelled.refined.cores[kept], corpus.taxonomy)
    texts = [corpus.texts[row] for row in np.flatnonzero(kept)]
    return Lessons(texts, corpus.embeddings[kept], masks.labels, masks.where, np.ones(kept.sum(), np.float32))


def generated_lessons(corpus: Corpus, documents: Sequence[teleclass.PathDocument]) -> Lessons:
    """Returns what documents teach that were written for a path: all classes of it, and no other."""
    texts = [document.text for document in documents]
    return labelled_lessons(
        texts, corpus.embed(texts), sets_of([document.path for document in documents], len(corpus.taxonomy))
    )


def sets_of(classes: Sequence[Sequence[int]], num_classes: int) -> Bool[np.ndarray, "N C"]:
    """Returns sets of numbers as rows of booleans."""
    sets = np.zeros((len(classes), num_classes), bool)
    for row, each in enumerate(classes):
        sets[row, list(each)] = True
    return sets


class Prompted(NamedTuple):
    """The classes that a model gave texts itself, and how many of its answers could not be read."""

    sets: Bool[np.ndarray, "N C"]
    unread: int


def prompt_level_wise(corpus: Corpus, generate: GenerateFn, texts: Sequence[str]) -> Prompted:
    """Asks for one class at each level, from the roots down, among the children of what was picked before.

    A path ends where an answer cannot be read.
    """
    taxonomy = corpus.taxonomy
    paths: list[list[int]] = [[] for _ in texts]
    going, unread = list(range(len(texts))), 0
    while going:
        choices = [list(taxonomy.children[paths[place][-1]] if paths[place] else taxonomy.roots) for place in going]
        going = [place for place, options in zip(going, choices, strict=True) if options]
        choices = [options for options in choices if options]
        said = teleclass.annotate_documents(
            generate, taxonomy, [texts[place] for place in going], choices, kind=corpus.kind
        )
        for place, annotation in zip(going, said, strict=True):
            paths[place] += annotation.classes[:1]
        unread += sum(not annotation.classes for annotation in said)
        going = [place for place, annotation in zip(going, said, strict=True) if annotation.classes]
    return Prompted(sets_of(paths, len(taxonomy)), unread)


def prompt_flat(corpus: Corpus, generate: GenerateFn, texts: Sequence[str]) -> Prompted:
    """Asks for classes among all; what stands above them is added."""
    everything = list(range(len(corpus.taxonomy)))
    said = teleclass.annotate_documents(generate, corpus.taxonomy, texts, [everything] * len(texts), kind=corpus.kind)
    sets = sets_of([annotation.classes for annotation in said], len(everything))
    return Prompted(corpus.taxonomy.close_upwards(sets), sum(not annotation.classes for annotation in said))
