"""The taxonomy as a tree to open: terms, counts and F1 of each class, and texts with what they are given."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from experiments.teleclass.methods import Answers
from experiments.teleclass.pipeline import Labelled
from experiments.teleclass.study import Test
from jaxalign import metrics
from jaxalign import taxonomy as teleclass
from jaxalign.io import report
from jaxalign.taxonomy import Taxonomy

SHOWN = 3  # texts of a class
CAPTION = (
    "Each class with how many texts of the test have it and are given it, of how many documents it is a core class, "
    f"and its F1. Below: its terms, and the first {SHOWN} texts of the test of which it is the most specific class, "
    "with the scores of what they are given."
)


def tree(
    taxonomy: Taxonomy,
    terms: Sequence[Sequence[str]],
    figures: Mapping[str, Sequence[float | int | None]],
    texts: Sequence[Sequence[Mapping[str, str]]],
    title: str = "Taxonomy",
    caption: str = "",
) -> report.Tree:
    """Returns the classes with what is known of each.

    Args:
      terms: of each class; its own name among them is left out.
      figures: a number of each class by name, None where there is none.
      texts: of each class, each by what it is.
    """
    for name, values in {"terms": terms, "texts": texts, **figures}.items():
        if len(values) != len(taxonomy):
            raise ValueError(f"{name}: expected one of each class, {len(taxonomy)}, got {len(values)}")
    nodes = []
    for number, (name, parents) in enumerate(zip(taxonomy.names, taxonomy.parents, strict=True)):
        others = [term for term in terms[number] if term != name]
        row = {figure: values[number] for figure, values in figures.items()}
        facts = {"terms": ", ".join(others)} if others else {}
        nodes.append(report.Node(name, parents, row, facts, texts[number]))
    return report.Tree(title, nodes, caption)


def tree_of(taxonomy: Taxonomy, labelled: Labelled, answers: Answers, test: Test, title: str) -> report.Tree:
    """Returns the tree of a run: what a method learnt from, and how it does on the texts of the test."""
    figures = {
        "test texts": test.labels.sum(axis=0).tolist(),
        "given": answers.sets.sum(axis=0).tolist(),
        "core of": labelled.refined.cores.sum(axis=0).tolist(),
        "F1": class_f1(answers.sets, test.labels),
    }
    return tree(taxonomy, labelled.terms, figures, texts_of(taxonomy, answers, test), title, CAPTION)


def class_f1(given: Bool[np.ndarray, "N C"], labels: Bool[np.ndarray, "N C"]) -> list[float | None]:
    """Returns the F1 of each class; None where no text has the class or is given it."""
    counts = metrics.label_counts(jnp.asarray(given), jnp.asarray(labels))
    occurs = np.asarray(counts.predicted + counts.actual > 0)
    return [value if known else None for value, known in zip(counts.f1.tolist(), occurs, strict=True)]


def texts_of(taxonomy: Taxonomy, answers: Answers, test: Test) -> list[list[dict[str, str]]]:
    """Returns for each class the first texts that end there, with the classes that they have and are given."""
    ends = np.asarray(teleclass.most_specific(taxonomy, jnp.asarray(test.labels)))
    names = teleclass.class_names(taxonomy, range(len(taxonomy)))
    return [
        [_sample(names, taxonomy, answers, test, row) for row in np.flatnonzero(of_class)[:SHOWN]]
        for of_class in ends.T
    ]


def _sample(names: Sequence[str], taxonomy: Taxonomy, answers: Answers, test: Test, row: int) -> dict[str, str]:
    labels, given, scores = test.labels[row], answers.sets[row], answers.scores[row]
    downwards = sorted(np.flatnonzero(labels), key=lambda number: taxonomy.levels[number])
    best_first = sorted(np.flatnonzero(given), key=lambda number: -scores[number])
    said = [f"{names[number]} {scores[number]:.2f}{'' if labels[number] else ' (wrong)'}" for number in best_first]
    return {
        "classes": ", ".join(names[number] + ("" if given[number] else " (missed)") for number in downwards),
        "given": ", ".join(said) or "nothing",
        "text": test.texts[row],
    }
