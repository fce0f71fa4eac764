"""What experiments.teleclass reads of files: labels in any form, the authors' layout, splits, controls, real files."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.teleclass import authors_files, controls, reading, worlds
from experiments.teleclass.__main__ import PRESETS
from experiments.teleclass.settings import Files
from experiments.teleclass.source import Source, Texts
from jaxalign.taxonomy import PathDocument, Taxonomy, read_taxonomy
from tests.experiments.teleclass_files import write_rows

PETS = Taxonomy(
    ("pets", "dogs", "cats", "dog food", "toys", "toys"),
    ((), (0,), (0,), (1,), (1,), (2,)),
    ("p", "d", "c", "f", "t1", "t2"),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["p", "d"], [0, 1]),
        (["pets > dogs > toys"], [4]),  # in a list, a path is one class
        ("pets > cats > toys", [0, 2, 5]),  # alone it is all classes along it
        ("Dog Food", [3]),
        ("dog_food", [3]),
        ([], []),
    ],
)
def test_labels_of_any_form(tmp_path, value, expected):
    file = write_rows(tmp_path / "a.jsonl", [{"text": "x", "of": value}])
    found = reading.read_texts(file, Files(label=("of",)), PETS)
    assert np.flatnonzero(found.labels[0]).tolist() == sorted(expected)


def test_columns_of_a_path_and_texts_of_two(tmp_path):
    rows = [
        {"title": "Bone", "body": "so good", "a": "pets", "b": "dogs", "c": "toys"},
        {"title": "Ball", "body": "red", "a": "pets", "b": "cats", "c": ""},
    ]
    file = write_rows(tmp_path / "a.jsonl", rows)
    found = reading.read_texts(file, Files(text=("title", "body"), label=("a", "b", "c"), group="title"), PETS)
    assert found.texts == ("Bone so good", "Ball red") and found.groups == ("Bone", "Ball")
    assert [np.flatnonzero(row).tolist() for row in found.labels] == [[0, 1, 4], [0, 2]]


@pytest.mark.parametrize("label", ["toys", "birds", "cats > dog food"])
def test_names_of_several_classes_or_none_are_refused(tmp_path, label):
    file = write_rows(tmp_path / "a.jsonl", [{"text": "x", "of": ["p"]}, {"text": "y", "of": [label]}])
    with pytest.raises(ValueError, match=rf"(?s)2.*'{label}' is no class of the taxonomy, or the name of several"):
        reading.read_texts(file, Files(label=("of",)), PETS)


def test_terms_that_lost_their_commas_are_left_out(tmp_path):
    glued = "_bones_balls_ropes_rings_and_many_more"
    rows = [{"label": "d", "terms": ["puppy_collar", "leash"]}, {"name": "cats", "terms": [glued]}]
    terms, notes = reading.read_terms(write_rows(tmp_path / "t.jsonl", rows), "terms", PETS)
    assert terms == [(), ("puppy collar", "leash"), (), (), (), ()]
    assert "more than 6 words are left out, of cats" in notes[0]
    assert "no terms of pets, cats, dog food, toys, toys" in notes[1]


def test_groups_are_not_divided():
    labels = np.ones((40, 6), bool)
    source = Source(PETS, Texts([f"{n}" for n in range(40)], labels, [n // 5 for n in range(40)]), None)
    train, test = source.split(0.25, (0, 0), seed=3)
    assert len(train.texts) == 30 and len(test.texts) == 10
    assert not {int(text) // 5 for text in train.texts} & {int(text) // 5 for text in test.texts}
    assert source.split(0.25, (0, 0), seed=4)[1].texts != test.texts
    some = source.split(0.25, (7, 3), seed=3)
    assert [len(part.texts) for part in some] == [7, 3] and set(some[0].texts) <= set(train.texts)


def authors_folder(folder):
    """A data set in which ids are no line numbers, and no two files have the same order."""
    (folder / "train").mkdir(), (folder / "test").mkdir()
    files = {
        "labels.txt": "".join(f"{n}\t{name}\n" for n, name in enumerate(("pets", "dogs", "cats", "dog_food"))),
        "label_hierarchy.txt": "0\t1\n0\t2\n1\t3\n",
        "train/corpus.txt": "9\tmy dog eats\n4\tmy cat sleeps\n",
        "train/doc2labels.txt": "4\t0,2\n9\t0,1,3\n",
        "test/corpus.txt": "1\tgood food\n0\ta cat\n",
        "test/doc2labels.txt": "0\t0,2\n1\t0,1,3\n",
        "train/llm_enrichment.txt": "dogs:puppy,guide_dog\ncats:kitten\n",
        "train/autophrase_results.txt": "0.9\tdog food\n0.1\tof the\n",
        "train/generated_docs.txt": "0\tthis kibble is great\n",
        "train/generated_doc2label.json": json.dumps({"0": {"core_classes": "3", "with ancestors": ["0", "1", "3"]}}),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_the_authors_layout(tmp_path):
    source = worlds.read_source(Files(taxonomy=authors_folder(tmp_path)))
    assert source.corpus.texts == ["my dog eats", "my cat sleeps"] and source.test.texts == ["good food", "a cat"]
    assert source.corpus.labels.astype(int).tolist() == [[1, 1, 0, 1], [1, 0, 1, 0]]
    assert source.test.labels.astype(int).tolist() == [[1, 1, 0, 1], [1, 0, 1, 0]]
    assert source.terms == [(), ("puppy", "guide dog"), ("kitten",), ()] and source.phrases == ("dog food",)
    assert source.documents == [PathDocument("this kibble is great", (0, 1, 3))]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("test/doc2labels.txt", "0\t0,2\n", "1 of 2 documents have no labels, the first '1'"),
        ("train/corpus.txt", "9\ta\n9\tb\n", "line 2: the id '9' stands twice"),
        ("train/corpus.txt", "no tab\n", "line 1: expected an id, a tab and a text"),
        ("train/generated_docs.txt", "1\tx\n", "have other documents, such as '0'"),
        ("train/llm_enrichment.txt", "birds:wing\n", "line 1: expected a label of the taxonomy"),
    ],
)
def test_what_is_wrong_in_the_authors_files(tmp_path, file, text, message):
    folder = authors_folder(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        authors_files.read(folder, read_taxonomy(folder))


def test_without_a_corpus_there_is_nothing_to_read(tmp_path):
    folder = authors_folder(tmp_path)
    (folder / "test/corpus.txt").unlink()
    with pytest.raises(FileNotFoundError, match="test/corpus.txt is missing"):
        worlds.read_source(Files(taxonomy=folder))
    with pytest.raises(ValueError, match="--corpus: expected a file of documents beside --taxonomy"):
        worlds.read_source(
            Files(taxonomy=write_rows(tmp_path / "c.jsonl", [{"label": "a", "name": "a", "parents": []}]))
        )


def test_shuffled_names_take_their_terms_and_documents_along():
    taxonomy = Taxonomy(("pets", "dogs", "cats", "birds", "fish"), ((), (0,), (0,), (0,), (0,)))
    documents = [PathDocument(name, (0, n)) for n, name in enumerate(taxonomy.names) if n]
    source = Source(taxonomy, Texts(["x"], None), None, terms=[(name,) for name in taxonomy.names], documents=documents)
    changed = controls.change(source, controls.SHUFFLED, 1)
    assert changed.taxonomy.names != taxonomy.names and sorted(changed.taxonomy.names) == sorted(taxonomy.names)
    assert changed.taxonomy.names[0] == "pets" and changed.taxonomy.parents == taxonomy.parents
    assert changed.terms == [(name,) for name in changed.taxonomy.names]
    for document in changed.documents:
        assert changed.taxonomy.names[document.path[-1]] == document.text and len(document.path) == 2
    assert len(changed.documents) == 4 and changed.corpus is source.corpus


def test_names_are_taken_out_of_all_documents():
    texts = Texts(["My dog likes dog food.", "A red ball"], np.ones((2, 6), bool))
    source = Source(PETS, texts, texts, documents=[PathDocument("cats and toys", (0, 2))])
    changed = controls.change(source, controls.STRIPPED, 0)
    for each in (changed.corpus, changed.test):
        assert each.texts == ["My x likes x.", "A red ball"] and each.labels is texts.labels
    assert changed.documents == [PathDocument("x and x", (0, 2))]


def test_the_real_reviews(shared_data):
    folder = shared_data / "teleclass"
    files = dataclasses.replace(
        PRESETS["amazon"].files,
        taxonomy=folder / "amazon531_classes.parquet",
        corpus=shared_data / "amazon_reviews_hier/reviews.parquet",
        terms=folder / "amazon531_classes.parquet",
        phrases=folder / "amazon531_phrases.parquet",
        documents=folder / "amazon531_generated.parquet",
    )
    source = worlds.read_source(files)
    assert source.corpus.labels.shape == (6865, 531) and (source.corpus.labels.sum(axis=1) == 3).all()
    levels = source.taxonomy.levels
    assert all(levels[row].min() == 0 for row in source.corpus.labels)
    assert len(source.documents) == 2555 and sum(map(bool, source.terms)) == 527
    glued = "cameras camcorders, gourmet gifts, standard, teethers"
    assert len(source.notes) == 2 and all(glued in note for note in source.notes)
    train, test = source.split(0.25, (0, 0), 0)
    assert len(train.texts) + len(test.texts) == 6865


def test_shuffled_names_tell_siblings_apart():
    """Two classes of one name are drawn again where they would stand below one parent."""
    parents = ((), (), (0,), (0,), (1,), (1,))
    taxonomy = Taxonomy(("a", "b", "toys", "food", "toys", "care"), parents, tuple("012345"))
    source = Source(taxonomy, Texts(["x"], None), None)
    for seed in range(8):
        names = controls.change(source, controls.SHUFFLED, seed).taxonomy.names
        assert names[2] != names[3] and names[4] != names[5] and names.count("toys") == 2
    alike = Taxonomy(("a", "b", "toys", "toys"), ((), (), (0,), (1,)), tuple("0123"))
    assert (
        controls.change(Source(alike, Texts(["x"], None), None), controls.SHUFFLED, 0).taxonomy.names[2:]
        == ("toys",) * 2
    )
