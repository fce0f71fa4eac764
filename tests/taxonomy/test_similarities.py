"""The closest term of each class, against scikit-learn's cosines."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from jaxalign.taxonomy import class_similarities

RNG = np.random.default_rng(0)
DOCUMENTS = RNG.normal(size=(30, 8)).astype(np.float32)
TERMS = RNG.normal(size=(20, 8)).astype(np.float32)
CLASSES = np.concatenate([np.arange(5), RNG.integers(0, 5, 15)])


@pytest.mark.parametrize("block_size", [7, 64])
def test_equals_scikit_learn(block_size):
    cosines = cosine_similarity(DOCUMENTS, TERMS)
    expected = np.stack([cosines[:, CLASSES == each].max(axis=1) for each in range(5)], axis=1)
    found = class_similarities(DOCUMENTS, TERMS, CLASSES, 5, block_size=block_size)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_lengths_do_not_count_and_half_precision_is_read():
    expected = class_similarities(DOCUMENTS, TERMS, CLASSES, 5, block_size=64)
    found = class_similarities(3 * DOCUMENTS, 0.1 * TERMS, CLASSES, 5, block_size=64)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = class_similarities(DOCUMENTS.astype(np.float16), TERMS, CLASSES, 5, block_size=64)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert class_similarities(DOCUMENTS[:0], TERMS, CLASSES, 5).shape == (0, 5)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"term_embeddings": TERMS[:, :7]}, "expected the width of documents, 8, got 7"),
        ({"term_classes": CLASSES[:5]}, "one class for each of 20 terms, got 5"),
        ({"num_classes": 6}, "1 classes have no term, the first is class 5"),
        ({"num_classes": 4}, "expected numbers from 0 to 3, got 4"),
        ({"document_embeddings": np.where(np.arange(30)[:, None] == 12, 0, DOCUMENTS)}, "document_embeddings.* row 12"),
        ({"term_embeddings": np.where(np.arange(20)[:, None] == 3, np.inf, TERMS)}, "term_embeddings: .* row 3 "),
        ({"block_size": 0}, "block_size: expected at least 1"),
    ],
)
def test_what_is_refused(changed, message):
    arguments = dict(document_embeddings=DOCUMENTS, term_embeddings=TERMS, term_classes=CLASSES, num_classes=5)
    with pytest.raises(ValueError, match=message):
        class_similarities(**{**arguments, "block_size": 7, **changed})
