"""What the nearest question is good for: figures of a made world by hand, and of real pairs."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import sklearn.feature_extraction.text
import sklearn.metrics

from experiments.echolm import duplicates, question_pairs

ROWS = [
    ("a1 what is tea", "a2 what is tea ?", True),
    ("a2 what is tea ?", "a3 tea is what", True),
    ("a1 what is tea", "a4 where is tea", False),
    ("b1 who was there", "b2 who is there", False),
    ("c1 how far", "c2 how near", True),
]
ANGLES = {"a1": 0, "a2": 10, "a3": 20, "a4": 40, "b1": 90, "b2": 105, "c1": 180, "c2": 240}  # degrees


def embed(texts):
    """A direction in the plane, and a length that must not matter."""
    angles = np.deg2rad([ANGLES[text[:2]] for text in texts])
    return 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def pairs():
    return question_pairs.make_pairs(ROWS)


@pytest.fixture(scope="module")
def found(pairs):
    return duplicates.measure(embed, pairs, queries=8, resamples=20)


def values(found, table):
    (figures,) = (rows for title, rows in found.tables.items() if title.startswith(table))
    return {rule: {name: figure.value for name, figure in row.items()} for rule, row in figures.items()}


def test_pairs_link_topics_and_meanings(pairs):
    topics = question_pairs.components(pairs)
    assert topics.tolist() == [0, 0, 0, 0, 1, 1, 2, 2] and [text[:2] for text in pairs.texts] == list(ANGLES)
    meanings = question_pairs.components(pairs, pairs.same).tolist()
    assert meanings[0] == meanings[1] == meanings[2] and meanings[6] == meanings[7]
    assert len({meanings[place] for place in (0, 3, 4, 5, 6)}) == 5


def test_reuse_by_threshold_by_hand(found):
    """The pairs are 10, 10, 40, 15 and 60 degrees apart; at .8 (37 degrees) two of the three hits are right."""
    row = values(found, "Reuse")["embeddings, 0.8"]
    assert row == pytest.approx({"hits": 3 / 5, "precision": 2 / 3, "recall": 2 / 3, "false hits": 1 / 3})
    low = values(found, "Reuse")["embeddings, 0.7"]  # 46 degrees
    assert low == pytest.approx({"hits": 4 / 5, "precision": 2 / 4, "recall": 2 / 3, "false hits": 2 / 4})


def test_the_area_by_hand(found):
    """Positives are 10, 10, 60 degrees apart, negatives 40, 15: the first two positives are nearer than both."""
    assert values(found, "Same meaning")["embeddings"]["AUC"] == pytest.approx(4 / 6)


def test_the_nearest_by_hand(found):
    """The nearest is always of the topic; that of a4, b1 and b2 means something else."""
    first = values(found, "Nearest")["k = 1"]
    assert first["one of the topic"] == 1 and first["one of the same meaning, if any"] == 1
    nearest = values(found, "The nearest")
    assert nearest["any"]["of the same meaning"] == pytest.approx(5 / 8) and nearest["any"]["hits"] == 1
    # At .8 all have a hit but c1 and c2; those of a1, a2 and a3 are of their meaning, which c1's and c2's would be too.
    assert nearest["0.8"] == pytest.approx(
        {"hits": 6 / 8, "of the topic": 1, "topic recall": 6 / 8, "of the same meaning": 1 / 2, "meaning recall": 3 / 5}
    )


def test_mistakes_are_shown(found):
    (mistake,) = found.mistakes
    assert mistake.first.startswith("b1") and mistake.cosine == pytest.approx(np.cos(np.deg2rad(15)))


@pytest.mark.parametrize(
    ("terms", "options"),
    [(question_pairs.words, {}), (question_pairs.pieces, {"analyzer": "char_wb", "ngram_range": (3, 5)})],
)
def test_terms_as_in_scikit_learn(pairs, terms, options):
    rows = sklearn.feature_extraction.text.TfidfVectorizer(**options).fit_transform(pairs.texts)
    expected = np.asarray(rows[pairs.first].multiply(rows[pairs.second]).sum(axis=1)).ravel()
    np.testing.assert_allclose(question_pairs.tfidf_cosines(pairs, terms), expected, atol=1e-12)


def test_texts_without_a_word_are_like_none():
    assert question_pairs.tfidf_cosines(question_pairs.make_pairs([("?", "!", False)])).tolist() == [0]


def test_the_area_as_in_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = np.round(rng.normal(size=300), 1), rng.random(300) < 0.3
    found = duplicates.area_under_roc(scores, labels, np.arange(300), 200, rng)
    assert found.value == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    # Hanley and McNeil's standard error at an area of .5 is sqrt((P + N + 1) / (12 P N)) = .037 for 90 and 210.
    assert found.high - found.low == pytest.approx(4 * 0.037, rel=0.25)


def test_a_question_is_not_its_own_neighbour():
    """Equal embeddings: each finds the others, whichever comes first."""
    ids, cosines, asked = duplicates.find_nearest(np.tile(np.float32([[0, 1]]), (4, 1)), 4, np.random.default_rng(0))
    assert all(sorted({*row[:3], place}) == [0, 1, 2, 3] for row, place in zip(ids.tolist(), asked, strict=True))
    assert (ids[:, 3:] == -1).all() and (cosines[:, 3:] == -np.inf).all()


def test_pairs_of_one_label_are_refused():
    with pytest.raises(ValueError, match="pairs of both labels, got 1 of one"):
        duplicates.measure(embed, question_pairs.make_pairs(ROWS[:1]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"origin": ["a"], "label": [1]}, r"expected columns .*; rename or add \['similar'\]"),
        ({"origin": [], "similar": [], "label": []}, "at least one row"),
        ({"origin": ["a"], "similar": [" "], "label": [1]}, "row 0: expected two questions"),
        ({"origin": ["a"], "similar": ["b"], "label": [2]}, "row 0: expected two questions and a label 0 or 1"),
    ],
)
def test_wrong_files_are_refused(tmp_path, columns, message):
    path = tmp_path / "pairs.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(ValueError, match=message):
        question_pairs.read_pairs(path)


def test_real_pairs_without_a_network(shared_data):
    """The floor that embeddings must beat, as scikit-learn gives it for these rows: .7377."""
    pairs = question_pairs.read_pairs(shared_data / "qqp_pairs" / "pairs.parquet")
    assert len(pairs.same) == 60_705
    cosines = question_pairs.tfidf_cosines(pairs)
    assert sklearn.metrics.roc_auc_score(pairs.same, cosines) == pytest.approx(0.738, abs=0.001)
