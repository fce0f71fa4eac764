import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pyarrow.parquet as parquet
import pytest

from jaxalign.taxonomy import (
    Taxonomy,
    class_bm25,
    class_documents,
    count_terms,
    distinctiveness,
    find_corpus_terms,
    geometric_affinity,
    index_texts,
    intersect_families,
    unite_families,
    weighted_affinity,
)
from tests.taxonomy.planted import TERMS, planted_corpus

ROOT = pathlib.Path(__file__).parents[2]


def test_bm25_by_hand():
    """Two classes of 30 and 10 words, mean 20: relative lengths 1.5 and 0.5; k (1 - b + b dl) is 1.5 and 0.9."""
    tf, df = np.array([[6, 0], [1, 3]]), np.array([[3, 0], [1, 1]])
    scores = class_bm25(tf, df, np.array([30, 10]), np.array([7, 1]))
    expected = [[6 * 2.2 / 7.5 * 2 / 3, 0], [1 * 2.2 / 1.9, 3 * 2.2 / 3.9]]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_bm25_of_a_class_without_words_is_zero():
    scores = class_bm25(np.array([[0], [2]]), np.array([[0], [1]]), np.array([0, 4]), np.array([0, 1]), b=1.0)
    np.testing.assert_allclose(scores, [[0], [2 * 2.2 / (2 + 1.2 * 2)]])


def test_distinctiveness_by_hand():
    """exp(ln 2) = 2 and exp(ln 3) = 3 of 1 + 2 + 3; a term that nobody has gets 1 of 1 + 1 + 1."""
    values = distinctiveness(np.array([[math.log(2), 0.0], [math.log(3), 0.0]]))
    np.testing.assert_allclose(values, [[2 / 6, 1 / 3], [3 / 6, 1 / 3]])


def test_distinctiveness_does_not_overflow():
    np.testing.assert_allclose(distinctiveness(np.array([[1e4], [1e4 - math.log(3)]])), [[0.75], [0.25]], rtol=1e-9)
    np.testing.assert_allclose(distinctiveness(np.array([[-1e4]])), [[0]], atol=0)


def test_affinities_by_hand():
    eight, half, quarter = np.array([[8.0]]), np.array([[0.5]]), np.array([[0.25]])
    assert geometric_affinity(eight, half, quarter).item() == pytest.approx(1.0)
    assert weighted_affinity(eight, half, quarter).item() == pytest.approx(2**0.6 * 2**-0.8 * 0.25)


def test_documents_of_a_class_are_those_of_the_classes_below_too():
    taxonomy = Taxonomy(("animal", "pet", "dog", "stone"), ((), (0,), (0, 1), ()))
    cores = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    assert class_documents(taxonomy, cores).toarray().astype(int).tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


SMALL = Taxonomy(("dog", "cat", "stone"), ((), (), ()))
TEXTS = ["bone bone tail", "bone tail tail", "tail purr purr", "purr rock"]
SMALL_CORES = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], bool)


def small(**options):
    counts = count_terms(index_texts(TEXTS), ["bone", "tail", "purr", "rock"])
    cosines = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    vectors = {"bone": [1.0, 0.0], "purr": [0.0, 2.0], "rock": [-1.0, 0.0], "tail": [0.6, 0.8]}
    return find_corpus_terms(
        SMALL, SMALL_CORES, counts, cosines, np.array([vectors[term] for term in counts.terms]), **options
    )


@pytest.mark.parametrize("affinity_fn", [geometric_affinity, weighted_affinity])
def test_affinity_by_brute_force(affinity_fn):
    """Dogs: bone 3 times in 2 documents, tail 3 in 2; cats: purr 3 in 2, tail 1, rock 1; 6 and 5 words, mean 5.5."""
    found = small(min_count=1, affinity_fn=affinity_fn)
    cosines = {("bone", 0): 1, ("tail", 0): 0.6, ("purr", 1): 0.8, ("tail", 1): 1.0}
    held = {("bone", 0): (3, 2), ("tail", 0): (3, 2), ("purr", 1): (3, 2), ("tail", 1): (1, 1)}

    def bm25(term, number):
        tf, df = held.get((term, number), (0, 0))
        return tf * 2.2 / (tf + 1.2 * (0.5 + 0.5 * (6, 5)[number] / 5.5)) * math.log2(1 + df) / math.log2(1 + 2)

    def affinity(term, number):
        powers = [math.exp(bm25(term, each)) for each in (0, 1)]
        popularity = math.log(1 + held[term, number][1])
        parts = (popularity, powers[number] / (1 + sum(powers)), cosines[term, number])
        return (
            math.prod(parts) ** (1 / 3)
            if affinity_fn is geometric_affinity
            else (parts[0] ** 0.2 * parts[1] ** 0.8 * parts[2])
        )

    dogs = {"bone": affinity("bone", 0), "tail": affinity("tail", 0)}
    cats = {"purr": affinity("purr", 1), "tail": affinity("tail", 1)}
    (dogs if dogs["tail"] < cats["tail"] else cats).pop("tail")
    assert dict(zip(found.terms[0], found.affinities[0], strict=True)) == pytest.approx(dogs)
    assert dict(zip(found.terms[1], found.affinities[1], strict=True)) == pytest.approx(cats)


def test_classes_without_documents_and_rare_terms_are_left_out():
    found = small(min_count=3)
    assert found.terms == (("bone", "tail"), ("purr",), ())  # a cosine of rock with everything is below 0
    assert found.documents.tolist() == [2, 2, 0]
    assert list(found.affinities[0]) == sorted(found.affinities[0], reverse=True)
    assert small(min_count=4).terms == ((), (), ())


def test_a_shared_term_goes_to_the_better_class_and_leaves_a_gap():
    found = small(min_count=1, most=1)
    assert found.terms == (("bone",), ("purr",), ())
    assert "tail" in small(min_count=1).terms[0] and "tail" not in small(min_count=1).terms[1]


def test_equal_affinities_go_by_the_alphabet_and_the_number_of_the_class():
    taxonomy = Taxonomy(("one", "two"), ((), ()))
    counts = count_terms(index_texts(["b a c"] * 2), ["c", "b", "a"])
    ones = np.ones((3, 2))
    found = find_corpus_terms(taxonomy, np.eye(2, dtype=bool), counts, ones[:2], ones, min_count=1, most=2)
    assert found.terms == (("a", "b"), ())


def test_a_class_below_two_parents():
    """Food stands beside dogs and beside herbs; "seed" tells it from dogs and not from herbs."""
    taxonomy = Taxonomy(("animals", "plants", "dogs", "herbs", "food"), ((), (), (0,), (1,), (0, 1)))
    texts = ["bone seed meal", "meal seed", "leaf seed seed", "seed leaf", "leaf seed", "tail bark bone"]
    cores = np.eye(5, dtype=bool)[[4, 4, 3, 3, 3, 2]]
    counts = count_terms(index_texts(texts), ["meal", "seed", "leaf", "bark"])
    same = np.ones((5, 1))
    both, either = (
        find_corpus_terms(taxonomy, cores, counts, same, same[:4], min_count=1, combine_fn=combine_fn).terms[4]
        for combine_fn in (intersect_families, unite_families)
    )
    assert set(both) == {"meal"} and set(either) == {"meal", "seed"}
    assert unite_families([{"seed": 0.5}, {}]) == {"seed": 0.5} and intersect_families([{"seed": 0.5}, {}]) == {}


def planted_terms(**options):
    world = planted_corpus()
    counts = count_terms(index_texts(world.texts), list(world.vectors))
    vectors = np.stack([world.vectors[term] for term in counts.terms])
    return world, find_corpus_terms(world.taxonomy, world.cores, counts, world.class_embeddings, vectors, **options)


@pytest.mark.parametrize("affinity_fn", [geometric_affinity, weighted_affinity])
def test_planted_terms_are_found(affinity_fn):
    world, found = planted_terms(affinity_fn=affinity_fn)
    for planted, terms in zip(world.terms, found.terms, strict=True):
        assert len(set(planted) & set(terms)) >= 0.9 * TERMS


def test_similarity_alone_does_not_find_the_planted_terms():
    world, found = planted_terms(affinity_fn=lambda popularity, distinctiveness, similarity: similarity)
    right = [len(set(planted) & set(terms)) for planted, terms in zip(world.terms, found.terms, strict=True)]
    assert min(right) < 0.9 * TERMS


def test_hash_seeds_do_not_count():
    code = "from tests.taxonomy.test_corpus_terms import planted_terms; print(planted_terms()[1].terms)"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]
    said = [run.communicate()[0].decode().strip() for run in runs]
    assert said == [str(planted_terms()[1].terms)] * 2


def test_shapes_that_do_not_fit_are_told():
    counts = count_terms(index_texts(TEXTS), ["bone"])
    with pytest.raises(ValueError, match=r"expected cores of \(4, 3\), 3 embeddings of classes and 1 of terms, got"):
        find_corpus_terms(SMALL, SMALL_CORES[:2], counts, np.ones((3, 2)), np.ones((1, 2)))


def test_terms_of_real_reviews_overlap_with_the_authors(shared_data):
    """The authors' terms are of another corpus and weigh similarity too; counts alone find a fifth of them.

    A random choice of 20 candidates finds 0.1 %.
    """
    folder = shared_data / "teleclass"
    classes = parquet.read_table(folder / "amazon531_classes.parquet").to_pylist()
    taxonomy = Taxonomy(
        tuple(row["name"].replace("_", " ") for row in classes),
        tuple(tuple(row["parents"]) for row in classes),
        tuple(row["name"] for row in classes),
    )
    reviews = parquet.read_table(shared_data / "amazon_reviews_hier" / "reviews.parquet").to_pylist()
    cores = np.zeros((len(reviews), len(classes)), bool)
    for row, review in enumerate(reviews):
        (above,) = (number for number in taxonomy.roots if taxonomy.names[number] == review["cat1"])
        for name in (review["cat2"], review["cat3"]):
            (above,) = (each for each in taxonomy.children[above] if taxonomy.names[each] == name)
        cores[row, above] = True
    phrases = parquet.read_table(folder / "amazon531_phrases.parquet").to_pydict()
    kept = [
        phrase
        for phrase, score in zip(phrases["phrase"], phrases["score"], strict=True)
        if score >= 0.5 or " " not in phrase
    ]
    counts = count_terms(index_texts([f"{each['title']} {each['text']}" for each in reviews]), kept)
    alike = np.ones((max(len(classes), len(counts.terms)), 1), np.float32)
    found = find_corpus_terms(taxonomy, cores, counts, alike[: len(classes)], alike[: len(counts.terms)])
    shares = [
        np.mean([term.replace("_", " ") in terms for term in row["corpus_terms"]])
        for row, terms, documents in zip(classes, found.terms, found.documents, strict=True)
        if documents >= 20 and row["corpus_terms"]
    ]
    assert len(shares) == 128 and np.mean(shares) > 0.15
