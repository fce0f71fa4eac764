"""TELEClass, step by step: terms of a model, candidates, core classes, terms of the corpus, refinement, generation."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from experiments.teleclass.learning import Lessons
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import Taxonomy
from jaxalign.typing import GenerateFn

EmbedFn = Callable[[Sequence[str]], Float[np.ndarray, "N D"]]
MOST_CORES = 3  # of a document, as in the authors' code: with all gaps a document of many classes keeps most of them


class Corpus(NamedTuple):
    """A taxonomy and texts without labels, and what embeds texts, names and terms in one space."""

    taxonomy: Taxonomy
    texts: Sequence[str]
    embeddings: Float[np.ndarray, "N D"]
    embed: EmbedFn
    mine: Callable[[Sequence[str]], Sequence[str]]  # candidates for the terms of classes
    kind: str = "text"  # of document, in prompts


class Labelled(NamedTuple):
    """What is taken for the core classes of documents, before and after refinement, and what came up on the way."""

    annotated: Bool[np.ndarray, "N C"]
    refined: teleclass.RefinedCores
    terms: Sequence[Sequence[str]]
    annotations: teleclass.AnnotationReport
    candidates: Bool[np.ndarray, "N C"]


def label(corpus: Corpus, generate: GenerateFn, terms: Sequence[Sequence[str]], *, mined: bool) -> Labelled:
    """Returns the core classes of all documents.

    Args:
      corpus: the documents.
      generate: the model that picks among candidates.
      terms: of each class beside its name; empty ones leave names alone.
      mined: whether terms of the corpus are added before the refinement.
    """
    taxonomy = corpus.taxonomy
    candidates = teleclass.search_candidates(taxonomy, similarities(corpus, terms, corpus.embeddings))
    choices = [np.flatnonzero(row).tolist() for row in candidates]
    annotations = teleclass.annotate_documents(generate, taxonomy, corpus.texts, choices, kind=corpus.kind)
    cores = sets_of([annotation.classes for annotation in annotations], len(taxonomy))
    found = corpus_terms(corpus, cores) if mined else [()] * len(taxonomy)
    known = [
        tuple(dict.fromkeys((name, *of, *more))) for name, of, more in zip(taxonomy.names, terms, found, strict=True)
    ]
    mentions = teleclass.find_mentions(teleclass.index_texts(corpus.texts), known)
    standing = teleclass.class_documents(taxonomy, cores).multiply(mentions)
    vectors = teleclass.average_class_documents(corpus.embeddings, standing.tocsr())
    refined = teleclass.refine_cores(corpus.embeddings, vectors, most=MOST_CORES)
    return Labelled(cores, refined, known, teleclass.report_annotations(annotations), candidates)


def corpus_terms(corpus: Corpus, cores: Bool[np.ndarray, "N C"]) -> Sequence[Sequence[str]]:
    """Returns the terms that the corpus has for each class."""
    index = teleclass.index_texts(corpus.texts)
    counts = teleclass.count_terms(index, corpus.mine(corpus.texts))
    embeddings = corpus.embed(corpus.taxonomy.names), corpus.embed(counts.terms)
    return teleclass.find_corpus_terms(corpus.taxonomy, cores, counts, *embeddings).terms


def similarities(
    corpus: Corpus, terms: Sequence[Sequence[str]], embeddings: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, "N C"]:
    """Returns the largest cosine of each text with the name or a term of each class."""
    joined = teleclass.join_terms(corpus.taxonomy, terms)
    return teleclass.class_similarities(embeddings, corpus.embed(joined.texts), joined.classes, len(corpus.taxonomy))


def core_lessons(corpus: Corpus, labelled: Labelled) -> Lessons:
    """Returns what the documents teach whose core classes are the most certain."""
    kept = labelled.refined.kept
    masks = teleclass.core_masks(labelled.refined.cores[kept], corpus.taxonomy)
    return Lessons(corpus.embeddings[kept], masks.labels, masks.where, np.ones(kept.sum(), np.float32))


def generated_lessons(corpus: Corpus, documents: Sequence[teleclass.PathDocument]) -> Lessons:
    """Returns what documents teach that were written for a path: all classes of it, and no other."""
    sets = sets_of([document.path for document in documents], len(corpus.taxonomy))
    embeddings = corpus.embed([document.text for document in documents])
    return Lessons(embeddings, sets.astype(np.float32), np.ones_like(sets), np.ones(len(sets), np.float32))


def sets_of(classes: Sequence[Sequence[int]], num_classes: int) -> Bool[np.ndarray, "N C"]:
    """Returns sets of numbers as rows of booleans."""
    sets = np.zeros((len(classes), num_classes), bool)
    for row, each in enumerate(classes):
        sets[row, list(each)] = True
    return sets


def prompt_level_wise(
    corpus: Corpus, generate: GenerateFn, texts: Sequence[str]
) -> tuple[Bool[np.ndarray, "N C"], int]:
    """Asks for one class at each level, from the roots down, among the children of what was picked before.

    Returns:
      The classes of each text's path, and how many answers could not be read, at which a path ends.
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
    return sets_of(paths, len(taxonomy)), unread


def prompt_flat(corpus: Corpus, generate: GenerateFn, texts: Sequence[str]) -> tuple[Bool[np.ndarray, "N C"], int]:
    """Asks for classes among all; what stands above them is added.

    Returns:
      The classes of each text, and how many answers could not be read.
    """
    everything = list(range(len(corpus.taxonomy)))
    said = teleclass.annotate_documents(generate, corpus.taxonomy, texts, [everything] * len(texts), kind=corpus.kind)
    sets = sets_of([annotation.classes for annotation in said], len(everything))
    return corpus.taxonomy.close_upwards(sets), sum(not annotation.classes for annotation in said)
