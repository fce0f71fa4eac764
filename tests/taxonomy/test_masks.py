import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign.taxonomy import Taxonomy, core_masks

#     0       1
#    / \      |     5 stands alone
#   2   3     |
#       |\    |
#       |  \  |
#       6    4
TAXONOMY = Taxonomy(tuple("abcdefg"), ((), (), (0,), (0,), (3, 1), (), (3,)))


def hot(*numbers):
    return np.isin(np.arange(7), numbers)


@pytest.mark.parametrize(
    "cores, labels, ignored",
    [
        ((4,), (0, 1, 3, 4), ()),  # a leaf below two parents: both are positive, and nothing is below
        ((0,), (0,), (2, 3, 4, 6)),  # a root: all below may be
        ((3,), (0, 3), (4, 6)),
        ((2, 3), (0, 2, 3), (4, 6)),
        ((0, 4), (0, 1, 3, 4), (2, 6)),  # 3 stands between two core classes: positive
        ((5,), (5,), ()),
        ((), (), (0, 1, 2, 3, 4, 5, 6)),  # nothing is known
    ],
)
def test_masks_by_hand(cores, labels, ignored):
    masks = core_masks(hot(*cores)[None], TAXONOMY)
    assert np.flatnonzero(masks.labels[0]).tolist() == list(labels) and masks.labels.dtype == np.float32
    assert np.flatnonzero(~masks.where[0]).tolist() == list(ignored)


def test_batches_and_jit():
    cores = np.stack([hot(4), hot(0), hot()]).reshape(3, 1, 7)
    plain = core_masks(cores, TAXONOMY)
    traced = jax.jit(lambda cores: core_masks(cores, TAXONOMY))(jnp.asarray(cores))
    assert isinstance(plain.where, np.ndarray) and plain.labels.shape == (3, 1, 7)
    for one, other in zip(plain, traced, strict=True):
        assert one.dtype == other.dtype and (one == np.asarray(other)).all()
