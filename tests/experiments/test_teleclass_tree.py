"""The tree of a run's report: figures of classes, and the texts that are shown, by hand."""

import numpy as np
import pytest

from experiments.teleclass import study, tree
from experiments.teleclass.methods import Answers
from experiments.teleclass.pipeline import Annotated, Labelled
from jaxalign.io import report
from jaxalign.taxonomy import RefinedCores, Taxonomy
from tests.io.report.test_pages import browse, run_script
from tests.io.report.test_tree import READER

# animal > dog, toy > dog toy, which is also below dog; a class that no text has or is given.
TAXONOMY = Taxonomy(("animal", "toy", "dog", "dog toy", "stone"), ((), (), (0,), (1, 2), ()))
LABELS = np.array(
    [[1, 0, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]], bool
)
GIVEN = np.array(
    [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]], bool
)
SCORES = np.tile(np.array([0.5, 0.75, 0.25, 0.125, 0.0]), (6, 1))
TEXTS = [f"text {number}" for number in range(6)]


TERMS = [("animal", "fur"), ("toy",), ("dog", "bark", "puppy"), ("dog toy", "squeak"), ("stone",)]


def shown_of(rows):
    """The tree of so many test texts, from the first."""
    cores = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0]], bool)
    labelled = Labelled(Annotated(cores, cores, None), RefinedCores(cores, np.ones(2), np.ones(2, bool)), TERMS)
    test = study.Test(TEXTS[:rows], np.zeros((rows, 2)), LABELS[:rows], None)
    return tree.tree_of(TAXONOMY, labelled, Answers(SCORES[:rows], GIVEN[:rows]), test, "Taxonomy")


@pytest.fixture(scope="module")
def shown():
    return shown_of(6)


def test_figures_of_classes(shown):
    assert [node.name for node in shown.nodes] == list(TAXONOMY.names) and shown.nodes[3].parents == (1, 2)
    rows = {name: [node.figures[name] for node in shown.nodes] for name in shown.columns}
    assert list(rows) == ["test texts", "given", "core of", "F1"]
    assert rows["test texts"] == [6, 1, 5, 1, 0] and rows["given"] == [5, 2, 3, 0, 0]
    assert rows["core of"] == [0, 1, 2, 0, 0]
    # 2 hits / (given + true); nobody has a stone or is given one.
    assert rows["F1"] == pytest.approx([10 / 11, 2 / 3, 6 / 8, 0, None])


def test_terms_and_texts_of_classes(shown):
    assert [dict(node.facts) for node in shown.nodes] == [
        {"terms": "fur"}, {}, {"terms": "bark, puppy"}, {"terms": "squeak"}, {},
    ]  # fmt: skip
    # A text is shown below its most specific class; of the four of dogs, the first three.
    texts = [[sample["text"] for sample in node.samples] for node in shown.nodes]
    assert texts == [["text 0"], [], ["text 1", "text 3", "text 4"], ["text 2"], []]
    assert shown.nodes[3].samples[0] == {
        "classes": "animal, toy, dog, dog toy (missed)",
        "given": "toy 0.75, animal 0.50, dog 0.25",
        "text": "text 2",
    }
    assert shown.nodes[2].samples[0]["given"] == "toy 0.75 (wrong), animal 0.50"
    assert shown.nodes[2].samples[1]["given"] == "nothing"


def test_without_texts_to_test_on_there_are_terms_and_cores():
    nodes = shown_of(0).nodes
    assert nodes[2].facts == {"terms": "bark, puppy"} and not nodes[2].samples
    assert nodes[2].figures == {"test texts": 0, "given": 0, "core of": 2, "F1": None}


def test_lengths_are_checked():
    nothing = [()] * 5
    with pytest.raises(ValueError, match="F1: expected one of each class, 5, got 1"):
        tree.tree(TAXONOMY, nothing, {"F1": [1]}, nothing)
    assert tree.tree(TAXONOMY, nothing, {}, nothing).title == "Taxonomy"


def test_a_reader_opens_a_class_and_sees_its_terms_and_documents(shown, tmp_path):
    path = report.write_report(tmp_path / "a.html", "a", summary={}, sections=[shown])
    _, console = browse(path, "--dump-dom")
    assert console == []
    found = run_script(
        path,
        READER
        + """
        const before = [sees("squeak"), sees("text 2"), row("dog toy").checkVisibility()];
        await click(row("dog toy"));
        return [before, sees("squeak"), sees("text 2"), sees("dog toy (missed)")];
        """,
    )
    assert found == [[False, False, True], True, True, True]
