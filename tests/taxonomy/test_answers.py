"""What is told of sets of classes: by hand, and against all paths of random graphs."""

import numpy as np
import pytest

from jaxalign.taxonomy import Taxonomy, describe_paths, one_path, set_paths
from tests.taxonomy import graphs

#   animal (0)      stone (4)
#   pet (1)  wild (2)
#   dog (3), below pet and wild
TAXONOMY = Taxonomy(
    ("animal", "pet", "wild", "dog", "stone"), ((), (0,), (0,), (1, 2), ()), ids=("A", "P", "W", "D", "S")
)
PROBABILITIES = np.float32([0.75, 0.5, 0.25, 0.625, 0.875])


def set_of(*numbers):
    return np.isin(np.arange(5), numbers)


@pytest.mark.parametrize(
    ("numbers", "paths"),
    [
        ((0, 1, 2, 3, 4), [(0, 1, 3), (0, 2, 3), (4,)]),  # two ways to the dog
        ((0, 1, 3), [(0, 1, 3)]),
        ((0, 2), [(0, 2)]),
        ((0, 3, 1, 4), [(0, 1, 3), (4,)]),
        ((0, 3), [(0,), (3,)]),  # with a gap
        ((2, 3), [(2, 3)]),
        ((), []),
    ],
)
def test_ways_within_a_set(numbers, paths):
    assert list(set_paths(TAXONOMY, set_of(*numbers))) == paths


@pytest.mark.parametrize("seed", range(3))
def test_ways_of_all_classes_are_the_paths(seed):
    taxonomy = graphs.random_taxonomy(seed)
    assert set_paths(taxonomy, np.ones(len(taxonomy), bool)) == taxonomy.paths


def test_a_shortcut_is_one_way_on_one_path():
    """c stands below a and below b, which stands below a: the walk a > b > c is one way."""
    taxonomy = Taxonomy(("a", "c", "b"), ((), (0, 2), (0,)))
    assert one_path(taxonomy, np.ones(3, bool)) == ((0, 2, 1),)
    assert set_paths(taxonomy, np.ones(3, bool)) == ((0, 1), (0, 2, 1))
    assert one_path(taxonomy, np.zeros(3, bool)) == ()


def test_answers_by_hand():
    both = describe_paths(TAXONOMY, PROBABILITIES, [(0, 1, 3), (0, 2, 3), (4,)])
    assert both.labels == ("A", "S", "P", "W", "D")  # by level
    assert both.names == ("stone", "animal > pet > dog", "animal > wild > dog")  # 0.875 before 0.625
    assert both.probabilities == {"A": 0.75, "S": 0.875, "P": 0.5, "W": 0.25, "D": 0.625}
    assert both.depth == 3 and not both.coarse
    inner = describe_paths(TAXONOMY, PROBABILITIES, [(4,), (0, 1)])
    assert inner == (("A", "S", "P"), ("stone", "animal > pet"), {"A": 0.75, "S": 0.875, "P": 0.5}, 2, True)
    assert describe_paths(TAXONOMY, PROBABILITIES, []) == ((), (), {}, 0, True)
    with pytest.raises(ValueError, match="expected probabilities of 5 classes as the taxonomy has, got 4"):
        describe_paths(TAXONOMY, PROBABILITIES[:4], [])
