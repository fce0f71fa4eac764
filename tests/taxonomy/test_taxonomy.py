"""Graphs by hand, random ones against networkx, and what is refused."""

import jax
import networkx as nx
import numpy as np
import pytest

from jaxalign.taxonomy import Taxonomy, readable_name
from tests.taxonomy.graphs import random_taxonomy
from tools.benchmarks import candidate_search

#     pets      beauty   gifts
#     /  \        |
#  dogs  cats   food    "food" of the pets is one class below two parents, that of beauty is another one
#    \   /
#    food
PETS = Taxonomy(
    ("pets", "dogs", "cats", "food", "beauty", "food", "gifts"),
    ((), (0,), (0,), (1, 2), (), (4,), ()),
    ("pets", "dogs", "cats", "pet_food", "beauty", "beauty_food", "gifts"),
)


def test_by_hand():
    assert len(PETS) == 7 and PETS.depth == 3
    assert PETS.children == ((1, 2), (3,), (3,), (), (5,), (), ())
    assert PETS.roots == (0, 4, 6) and PETS.leaves == (3, 5, 6)
    assert PETS.levels.tolist() == [0, 1, 1, 2, 0, 1, 0]
    assert PETS.paths == ((0, 1, 3), (0, 2, 3), (4, 5), (6,))
    assert np.flatnonzero(PETS.ancestors[3]).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(PETS.descendants[0]).tolist() == [0, 1, 2, 3]
    assert PETS.sibling_sets(3) == ((), ()) and PETS.sibling_sets(1) == ((2,),)
    assert PETS.sibling_sets(4) == ((0, 6),)
    assert PETS.index("beauty_food") == 5


def test_a_class_of_several_parents_has_a_set_of_siblings_for_each():
    taxonomy = Taxonomy(("a", "b", "x", "y", "z"), ((), (), (1, 0), (0,), (1,)))
    assert taxonomy.sibling_sets(2) == ((4,), (3,))


def test_levels_are_longest_ways():
    """A class with parents on two levels stands below the lower one, as in Amazon-531."""
    taxonomy = Taxonomy(("a", "b", "c", "d"), ((), (0,), (0, 1), (2,)))
    assert taxonomy.levels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "taxonomy", [*map(random_taxonomy, range(5)), candidate_search.random_layers(0, (3, 5, 12), 4)]
)
def test_equals_networkx(taxonomy):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(taxonomy)))
    graph.add_edges_from((parent, child) for child, each in enumerate(taxonomy.parents) for parent in each)
    for number in range(len(taxonomy)):
        assert set(np.flatnonzero(taxonomy.ancestors[number])) == nx.ancestors(graph, number) | {number}
        assert set(np.flatnonzero(taxonomy.descendants[number])) == nx.descendants(graph, number) | {number}
    levels = {number: level for level, each in enumerate(nx.topological_generations(graph)) for number in each}
    assert taxonomy.levels.tolist() == [levels[number] for number in range(len(taxonomy))]
    paths = {
        tuple(path)
        for root in taxonomy.roots
        for leaf in taxonomy.leaves
        for path in ([[root]] if root == leaf else nx.all_simple_paths(graph, root, leaf))
    }
    assert len(taxonomy.paths) == len(paths) and set(taxonomy.paths) == paths


def test_close_upwards():
    labels = np.zeros((2, 7), bool)
    labels[0, 3] = labels[1, 5] = True
    closed = [[True, True, True, True, False, False, False], [False, False, False, False, True, True, False]]
    assert PETS.close_upwards(labels).tolist() == closed
    assert PETS.close_upwards(labels[0]).tolist() == closed[0]
    assert jax.jit(PETS.close_upwards)(labels).tolist() == closed
    assert not PETS.close_upwards(np.zeros(7, bool)).any()


def test_taxonomies_are_values():
    assert PETS == Taxonomy(PETS.names, PETS.parents, PETS.ids) and hash(PETS) == hash(
        Taxonomy(PETS.names, PETS.parents, PETS.ids)
    )
    with pytest.raises(ValueError, match="read-only"):
        PETS.ancestors[0, 1] = True


@pytest.mark.parametrize(
    "names, parents, ids, message",
    [
        ((), (), (), "one class or more, got none"),
        (("a", "b"), ((),), (), "got 2 names, 1 of parents"),
        (("a", "b", "c", "d"), ((), (3, 0), (1,), (2,)), (), "parents: b > c > d > b is a cycle"),
        (("a",), ((0,),), (), "a > a is a cycle"),
        (("a", "b"), ((), (2,)), (), "parents of 'b': expected numbers from 0 to 1, got 2; add the class"),
        (("a", "b"), ((), (-1,)), (), "got -1"),
        (("a", "b"), ((), (0, 0)), (), "parents of 'b': 'a' stands twice"),
        (("a", "a"), ((), (0,)), (), "ids: 'a' stands twice; a class with several parents is one class"),
        (("a", "b", "B"), ((), (0,), (0,)), (), "two classes below 'a' are called 'b'"),
        (("a", "A"), ((), ()), (), "two classes at the top are called 'a'"),
        (("a", " "), ((), ()), (), "names: expected a line without blanks around it, got ' ' for class 1"),
        (("a",), ((),), ("a\nb",), "ids: expected a line"),
    ],
)
def test_what_is_refused(names, parents, ids, message):
    with pytest.raises(ValueError, match=message):
        Taxonomy(names, parents, ids)


def test_unknown_ids_get_a_hint():
    with pytest.raises(ValueError, match="got 'Pet Food'; did you mean 'pet_food'?"):
        PETS.index("Pet Food")
    with pytest.raises(ValueError, match="got 'x', one of 'pets', 'dogs'"):
        PETS.index("x")


def test_readable_name():
    assert readable_name("grocery__gourmet_food_") == "grocery gourmet food"


def test_ways_that_double_on_each_level_are_counted_and_not_listed():
    """Each level has two classes, both below both of the level above."""
    levels = 40
    parents = [(), (), *((2 * level, 2 * level + 1) for level in range(levels - 1) for _ in range(2))]
    taxonomy = Taxonomy(tuple(f"class {n}" for n in range(2 * levels)), tuple(parents))
    with pytest.raises(ValueError, match=f"there are {2**levels:,} ways .* at most 1,000,000 are listed"):
        taxonomy.paths  # noqa: B018
    assert taxonomy.ancestors[-1].sum() == 2 * levels - 1
