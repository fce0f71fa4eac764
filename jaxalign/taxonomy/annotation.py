"""Core classes of documents from a language model: it picks from the candidates of each document, by their names."""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.prompting import Spellings
from jaxalign.prompting.options import check_counts
from jaxalign.taxonomy.named_classes import parse_named, without_and
from jaxalign.taxonomy.readers import render_path
from jaxalign.taxonomy.taxonomy import Taxonomy
from jaxalign.typing import GenerateFn


class Annotation(NamedTuple):
    """What a model answered about one document.

    Attributes:
      classes: the candidates that it picked, in the order of the answer.
      outside: classes of the taxonomy that it named although they were no candidates.
      unknown: names that no class has, or several, as the answer writes them.
      answer: as the model wrote it.
    """

    classes: tuple[int, ...]
    outside: tuple[int, ...]
    unknown: tuple[str, ...]
    answer: str


class AnnotationReport(NamedTuple):
    """What came of the answers about a corpus.

    Attributes:
      documents: how many there are.
      without_class: how many of them have no class.
      silent: how many of these answers name nothing at all, such as refusals.
      outside: how often each class, by its number, was named although it was no candidate; the most frequent first.
      unknown: how often each name that means no class was said, in lower case; the most frequent first.
    """

    documents: int
    without_class: int
    silent: int
    outside: Mapping[int, int]
    unknown: Mapping[str, int]


def class_names(taxonomy: Taxonomy, classes: Sequence[int]) -> tuple[str, ...]:
    """Returns names by which a prompt can tell some classes apart: a path from a root where several share a name.

    Args:
      taxonomy: the classes.
      classes: the numbers of those to name.

    >>> taxonomy = Taxonomy(("dogs", "cats", "toys", "toys"), ((), (), (0,), (1,)), ("dogs", "cats", "t1", "t2"))
    >>> class_names(taxonomy, (0, 2)), class_names(taxonomy, (2, 3))
    (('dogs', 'toys'), ('dogs > toys', 'cats > toys'))
    """
    counts = collections.Counter(taxonomy.names[number].casefold() for number in classes)
    return tuple(
        taxonomy.names[number] if counts[taxonomy.names[number].casefold()] == 1 else _path(taxonomy, number)
        for number in classes
    )


def class_spellings(taxonomy: Taxonomy, classes: Sequence[int] | None = None) -> Spellings:
    """Returns the names of some classes, by which :func:`parse_named` finds them in an answer.

    Ids are no names: a model never saw them, and "2" may be one.

    Args:
      taxonomy: the classes.
      classes: the numbers of those that may be found; None for all.
    """
    classes = range(len(taxonomy)) if classes is None else classes
    named = zip(classes, class_names(taxonomy, classes), strict=True)
    return Spellings({number: _spellings(taxonomy, number, shown) for number, shown in named})


def render_annotation(document: str, names: Sequence[str], *, kind: str = "text") -> str:
    """Returns the question which of several classes a document belongs to, answered with names from the list.

    Args:
      document: all of its text.
      names: of the candidates, from :func:`class_names`.
      kind: what a document is, such as ``"product review"``.

    Raises:
      ValueError: there is no name to choose from.

    Source: TELEClass (arXiv 2403.00165), core class annotation; the wording is ours.
    """
    if not names:
        raise ValueError("names: expected one candidate or more, got none; there is nothing to choose from")
    listed = "\n".join(f"- {name}" for name in names)
    return (
        f"These are names of classes:\n{listed}\n\n"
        f"Which of these classes does the following {kind} belong to? Choose the most specific ones that fit it.\n\n"
        f"{document.strip()}\n\n"
        "Answer with names from the list alone, as they are written there, each on a line of its own."
    )


def annotate_documents(
    generate: GenerateFn,
    taxonomy: Taxonomy,
    documents: Sequence[str],
    candidates: Sequence[Sequence[int]],
    *,
    kind: str = "text",
    max_tokens: int = 128,
    seed: int = 0,
) -> list[Annotation]:
    """Asks a model at temperature 0 for the core classes of each document among its candidates.

    All questions are asked in one call; give a part of a large corpus at a time.

    Args:
      generate: continues prompts with texts, by a language model.
      taxonomy: the classes.
      documents: their texts.
      candidates: the numbers of each document's candidates, in the order in which they are shown.
      kind: what a document is, such as ``"product review"``.
      max_tokens: the longest answer, at least 1.
      seed: of the answers.

    Returns:
      One annotation for each document.

    Raises:
      ValueError: documents and candidates differ in number, a document has no candidate, or ``max_tokens`` is below 1.

    Source: TELEClass (arXiv 2403.00165), core class annotation.
    """
    check_counts(max_tokens=max_tokens)
    if len(documents) != len(candidates):
        raise ValueError(f"expected candidates for each document, got {len(documents)} and {len(candidates)}")
    prompts = [
        render_annotation(document, class_names(taxonomy, each), kind=kind)
        for document, each in zip(documents, candidates, strict=True)
    ]
    answers = generate(prompts, n=1, temperature=0.0, max_tokens=max_tokens, seed=seed) if prompts else []
    every = class_spellings(taxonomy)
    return [
        read_annotation(answer, class_spellings(taxonomy, each), every)
        for (answer,), each in zip(answers, candidates, strict=True)
    ]


def read_annotation(answer: str, candidates: Spellings, every: Spellings) -> Annotation:
    """Reads an answer: the candidates that it picks, other classes that it names, and names of no class.

    Args:
      answer: as the model wrote it; thinking before it is not read.
      candidates: the classes that the model could choose from, from :func:`class_spellings`.
      every: all classes of the taxonomy.
    """
    named = parse_named(answer, candidates)
    others = [parse_named(name, every) for name in named.unknown]
    outside = dict.fromkeys(number for other in others for number in other.found if number not in named.found)
    unknown = tuple(name for name, other in zip(named.unknown, others, strict=True) if not other.found)
    return Annotation(named.found, tuple(outside), unknown, answer)


def report_annotations(annotations: Sequence[Annotation]) -> AnnotationReport:
    """Counts what came of the answers, so that nothing is lost in silence.

    Args:
      annotations: of all documents.
    """
    without = [each for each in annotations if not each.classes]
    outside = collections.Counter(number for each in annotations for number in each.outside)
    unknown = collections.Counter(name.casefold() for each in annotations for name in each.unknown)
    return AnnotationReport(
        documents=len(annotations),
        without_class=len(without),
        silent=sum(not each.outside and not each.unknown for each in without),
        outside=dict(outside.most_common()),
        unknown=dict(unknown.most_common()),
    )


def _spellings(taxonomy: Taxonomy, number: int, shown: str) -> tuple[str, ...]:
    names = taxonomy.names[number], shown
    return tuple(dict.fromkeys((*names, *map(without_and, names))))


def _path(taxonomy: Taxonomy, number: int) -> str:
    """The names from a root down to a class by the first parent of each; no other class has the same ones."""
    path = [number]
    while parents := taxonomy.parents[path[-1]]:
        path.append(parents[0])
    return render_path(taxonomy, tuple(reversed(path)))
