import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as parquet
import pytest
import scipy.sparse

from jaxalign.taxonomy import (
    ClassVectors,
    average_class_documents,
    class_documents,
    cut_at_largest_gap,
    find_mentions,
    index_texts,
    refine_cores,
)
from tests.taxonomy.planted import planted_corpus


def cut(rows, where=None, **options):
    rows = jnp.array(rows)
    cores, gaps = cut_at_largest_gap(rows, jnp.ones(rows.shape, bool) if where is None else jnp.array(where), **options)
    return [np.flatnonzero(row).tolist() for row in np.asarray(cores)], np.asarray(gaps)


def test_cuts_by_hand():
    """Ranked .9 .8 | .2 .1, then .9 | .5 .3 .2; then gaps .1 .1 .1 | .5 with the largest one the fourth."""
    cores, gaps = cut([[0.9, 0.2, 0.8, 0.1, 0.0], [0.5, 0.3, 0.9, 0.2, 0.1], [0.6, 0.7, 0.8, 0.9, 0.1]])
    assert cores == [[0, 2], [2], [0, 1, 2, 3]]
    np.testing.assert_allclose(gaps, [0.6, 0.4, 0.5], atol=1e-6)


def test_the_code_looks_at_three_gaps_only():
    """Ranked .9375 .75 .625 .5 0: gaps of .1875, .125, .125 and, the fourth, .5."""
    row = [[0.5, 0.625, 0.75, 0.9375, 0.0]]
    assert cut(row)[0] == [[0, 1, 2, 3]] and cut(row)[1].tolist() == [0.5]
    for most in (1, 3):
        assert cut(row, most=most)[0] == [[3]] and cut(row, most=most)[1].tolist() == [0.1875]
    for most in (4, 9):
        assert cut(row, most=most)[0] == [[0, 1, 2, 3]]


def test_ties():
    """Exact gaps: of equal ones the first cuts, and of classes that are all alike the first is the core class."""
    cores, gaps = cut([[0.75, 0.5, 0.25, 0.0], [0.5, 0.5, 0.25, 0.25], [0.5, 0.5, 0.5, 0.5]])
    assert cores == [[0], [0, 1], [0]]
    assert gaps.tolist() == [0.25, 0.25, 0]


@pytest.mark.parametrize("most", [None, 1, 3])
def test_few_candidates(most):
    """One candidate is the core class, none is none, and what is no candidate may hold anything."""
    rows = [[0.1, 0.9, 0.8], [0.9, 0.5, 0.8], [0.25, 0.0, 0.5]]
    cores, gaps = cut(rows, [[True, False, False], [False] * 3, [True, False, True]], most=most)
    assert cores == [[0], [], [2]] and gaps.tolist() == [0, 0, 0.25]
    assert cut([[0.5]], most=most)[0] == [[0]]


def test_negative_similarities_rank_too():
    assert cut([[-0.75, -0.25, -0.5]])[0] == [[1]]
    assert cut([[-0.5, -1.0, -0.25]], most=2)[0] == [[0, 2]]


def naive(similarities, candidates, most):
    order = [number for number in np.argsort(-similarities, kind="stable") if candidates[number]]
    gaps = [similarities[a] - similarities[b] for a, b in zip(order, order[1:], strict=False)][:most]
    return (set(order[: int(np.argmax(gaps)) + 1]), max(gaps)) if gaps else (set(order), 0)


@pytest.mark.parametrize("most", [None, 3])
def test_a_walk_over_documents_cuts_the_same(most):
    draw = np.random.default_rng(0)
    similarities = (draw.integers(-32, 33, (300, 12)) / 32).astype(np.float32)  # exact, and many are equal
    where = draw.random((300, 12)) < draw.random((300, 1))
    cores, gaps = cut(similarities, where, most=most)
    for row in range(300):
        expected, gap = naive(similarities[row], where[row], most)
        assert set(cores[row]) == expected and gaps[row] == gap


def test_class_vectors_are_averages():
    embeddings = np.array([[1.0, 0.0], [0.0, 3.0], [4.0, 4.0]])
    documents = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1]], bool)
    for each in (documents, scipy.sparse.csr_array(documents)):
        vectors, counts = average_class_documents(embeddings, each)
        assert counts.tolist() == [2, 0, 2] and vectors.tolist() == [[0.5, 1.5], [0, 0], [2.5, 2]]


CLASSES = ClassVectors(np.eye(3, dtype=np.float32), np.array([1, 1, 0]))


def test_cosines_not_lengths_and_no_class_without_a_document():
    """Cosines .6 and .8, whatever the length; the third class has no document, and so no vector."""
    refined = refine_cores(np.array([[0.6, 0.8, 0.0], [60.0, 80.0, 0.0], [0.0, 0.1, 5.0], [0.0, 0.0, 0.0]]), CLASSES)
    assert refined.cores.tolist() == [[False, True, False]] * 3 + [[True, False, False]]
    np.testing.assert_allclose(refined.confidences, [0.2, 0.2, 0.1 / np.sqrt(25.01), 0], atol=1e-6)


def test_the_most_confident_are_kept_and_those_without_a_core_are_not_counted():
    """Gaps 1, .2, .6 and 0 of four documents with a core: three quarters of them are three, half are two."""
    embeddings = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0], [0.8, 0.2, 0], [1, 1, 0]])
    candidates = np.ones((5, 3), bool)
    candidates[2] = [False, False, True]
    for share, kept in [(0.75, [0, 1, 3]), (0.5, [0, 3]), (1.0, [0, 1, 3, 4]), (0.0, [])]:
        refined = refine_cores(embeddings, CLASSES, candidates=candidates, share=share)
        assert np.flatnonzero(refined.kept).tolist() == kept
    assert not refined.cores[2].any() and refined.confidences[2] == 0


def test_equal_confidences_are_kept_together():
    refined = refine_cores(np.array([[1.0, 0, 0]] * 3 + [[1.0, 1, 0]]), CLASSES, share=0.5)
    assert refined.kept.tolist() == [True, True, True, False]


def test_blocks_do_not_count(monkeypatch):
    draw = np.random.default_rng(0)
    embeddings, classes = (
        draw.normal(size=(23, 5)),
        ClassVectors(draw.normal(size=(7, 5)).astype("f4"), np.ones(7, int)),
    )
    whole = refine_cores(embeddings, classes)
    monkeypatch.setattr("jaxalign.taxonomy.refinement._ROWS_AT_ONCE", 8)
    parts = refine_cores(embeddings, classes)
    assert (whole.cores == parts.cores).all() and (whole.kept == parts.kept).all()
    np.testing.assert_allclose(whole.confidences, parts.confidences, atol=1e-6)
    assert refine_cores(embeddings[:0], classes).kept.shape == (0,)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(share=1.5), "a share from 0 to 1"),
        (dict(most=0), "most of 1 or above"),
        (dict(candidates=np.ones((3, 2), bool)), r"candidates of shape \(2, 3\)"),
    ],
)
def test_bad_options_are_told(change, message):
    with pytest.raises(ValueError, match=message):
        refine_cores(np.ones((2, 3)), CLASSES, **change)


def test_bad_embeddings_are_told():
    with pytest.raises(ValueError, match="as wide as the class vectors, 3, got 2"):
        refine_cores(np.ones((2, 2)), CLASSES)
    with pytest.raises(ValueError, match="1 of 2 rows that are not, the first of them row 1"):
        refine_cores(np.array([[1, 1, 1], [1, np.nan, 1]]), CLASSES)


def example_f1(taxonomy, cores, gold):
    cores, gold = (taxonomy.close_upwards(each) for each in (cores, gold))
    return 2 * (cores & gold).sum(axis=1) / (cores.sum(axis=1) + gold.sum(axis=1))


def test_refinement_mends_noisy_labels_and_confidence_orders_it():
    """A third of the planted core classes are replaced by random ones; documents are sums of their terms' vectors."""
    world = planted_corpus(documents=50)
    draw = np.random.default_rng(0)
    noisy = world.cores.copy()
    wrong = draw.random(len(noisy)) < 0.35
    noisy[wrong] = np.eye(noisy.shape[1], dtype=bool)[draw.integers(2, noisy.shape[1], wrong.sum())]
    index = index_texts(world.texts)
    embeddings = np.stack([sum(vectors_of(world, text)) for text in world.texts])
    documents = class_documents(world.taxonomy, noisy).multiply(find_mentions(index, world.terms))
    refined = refine_cores(embeddings, average_class_documents(embeddings, documents), most=3)
    before, after = (example_f1(world.taxonomy, cores, world.cores) for cores in (noisy, refined.cores))
    kept = refined.kept
    assert after[kept].mean() > before[kept].mean() + 0.05
    assert after[kept].mean() > after[~kept].mean()


def vectors_of(world, text):
    return [world.vectors[word] for word in text.rstrip("!").lower().split(", ")]


def test_refinement_on_the_authors_labels(shared_data):
    """Their released labels: the F1 of ancestor closures rises, and what they dropped was the worse part."""
    from jaxalign.taxonomy import Taxonomy

    classes = parquet.read_table(shared_data / "teleclass" / "amazon531_classes.parquet").to_pylist()
    rows = parquet.read_table(shared_data / "teleclass" / "amazon531_train.parquet").to_pylist()
    taxonomy = Taxonomy(tuple(row["name"] for row in classes), tuple(tuple(row["parents"]) for row in classes))
    before, after, gold = (
        hot([row[key] for row in rows], len(classes)) for key in ("llm_core", "refined_core", "gold")
    )
    kept = after.any(axis=1)
    f1 = example_f1(taxonomy, before, gold)
    assert f1[kept].mean() == pytest.approx(0.696, abs=1e-3) and f1[~kept].mean() == pytest.approx(0.522, abs=1e-3)
    assert example_f1(taxonomy, after, gold)[kept].mean() == pytest.approx(0.738, abs=1e-3)
    assert after.sum(axis=1).max() == 3 and kept.mean() == pytest.approx(0.75, abs=1e-3)


def hot(sets, width):
    array = np.zeros((len(sets), width), bool)
    for row, numbers in enumerate(sets):
        array[row, numbers] = True
    return array
