"""What indexes are compared with: all cosines in NumPy."""

import numpy as np

WIDTH = 4


def vectors(number, seed=0, width=WIDTH):
    return np.random.default_rng(seed).standard_normal((number, width)).astype(np.float32)


def clustered(number, centres, width, spread, seed=0):
    """Vectors around random directions."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((centres, width))
    return (means[rng.integers(centres, size=number)] + spread * rng.standard_normal((number, width))).astype(
        np.float32
    )


def cosines(queries, rows):
    """``[B, N]``, in float64."""
    queries, rows = (
        each / np.linalg.norm(each, axis=1, keepdims=True) for each in (np.float64(queries), np.float64(rows))
    )
    return queries @ rows.T


def assert_nearest(hits, queries, stored, k):
    """The hits are the k nearest of ``stored``, a vector by id; which of equal ones does not matter."""
    ids, similarities = np.asarray(hits.ids), np.asarray(hits.similarities)
    assert ids.shape == similarities.shape == (len(queries), k)
    number = min(k, len(stored))
    assert (ids[:, number:] == -1).all() and (similarities[:, number:] == -np.inf).all()
    if not number:
        return
    known = np.asarray(list(stored))
    true = cosines(queries, np.stack(list(stored.values())))
    np.testing.assert_allclose(similarities[:, :number], -np.sort(-true, axis=1)[:, :number], atol=1e-5)
    for row in range(len(queries)):
        found = ids[row, :number].tolist()
        assert len(set(found)) == number
        places = [np.flatnonzero(known == each)[0] for each in found]
        np.testing.assert_allclose(similarities[row, :number], true[row, places], atol=1e-5)


def recall(hits, queries, rows, k):
    """The share of the k nearest of all rows, whose ids are their numbers, that were found."""
    true = np.argsort(-cosines(queries, rows), axis=1)[:, :k]
    return np.mean(
        [len(set(a) & set(b)) / k for a, b in zip(np.asarray(hits.ids).tolist(), true.tolist(), strict=True)]
    )
