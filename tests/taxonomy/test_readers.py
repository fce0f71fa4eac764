"""The same taxonomy from each form of file, the two real ones, and what is refused."""

import numpy as np
import pyarrow.parquet as parquet
import pytest

from jaxalign.taxonomy import (
    Taxonomy,
    merge_same_names,
    parse_label_files,
    parse_taxonomy_json,
    render_path,
    taxonomy_from_edges,
    taxonomy_from_paths,
    taxonomy_from_rows,
)

#      pets        skin care
#      /  \
#   dogs  guinea pigs
#      \  /
#      food
NAMES = ("pets", "dogs", "food", "guinea pigs", "skin care")
PARENTS = ((), (0,), (1, 3), (0,), ())
PATHS = ("pets > dogs > food", "pets > guinea_pigs > food", "skin_care")


def test_files_with_ids():
    expected = Taxonomy(NAMES, PARENTS, ("7", "1", "3", "20", "5"))
    labels = "7\tpets\n1\tdogs\n3\tfood\n20\tguinea_pigs\n5\tskin_care\n"
    assert parse_label_files(labels, "7\t1\n1\t3\n7\t20\n20\t3\n\n") == expected
    rows = [
        {"label": 7, "name": "pets", "parents": [], "children": [1, 20]},
        {"label": 1, "name": "dogs", "parents": [7]},
        {"label": 3, "name": "food", "parents": [1, 20]},
        {"label": 20, "name": "guinea_pigs", "parents": [7]},
        {"label": 5, "name": "skin_care", "parents": []},
    ]
    assert taxonomy_from_rows(rows) == expected


def test_paths_and_json():
    of_paths = taxonomy_from_paths(PATHS)
    assert of_paths.names == ("pets", "dogs", "food", "guinea pigs", "food", "skin care")
    assert of_paths.ids[4] == "pets > guinea pigs > food" and of_paths.parents[4] == (3,)
    columns = [("pets", "dogs", "food"), ("pets", "guinea_pigs", "food"), ("skin_care", "", None)]
    assert taxonomy_from_paths(columns) == of_paths
    assert taxonomy_from_paths(["pets/dogs/food", "pets/guinea_pigs/food", "", "skin_care"], separator="/") == of_paths
    text = '{"pets": {"dogs": ["food"], "guinea_pigs": {"food": {}}}, "skin_care": null}'
    assert parse_taxonomy_json(text) == of_paths
    assert merge_same_names(of_paths) == Taxonomy(NAMES, PARENTS)
    assert [render_path(of_paths, path) for path in of_paths.paths] == [path.replace("_", " ") for path in PATHS]


def test_an_inner_class_may_come_alone():
    assert taxonomy_from_paths(["a > b", "a", "a > b"]).names == ("a", "b")


@pytest.mark.parametrize(
    "read, message",
    [
        (lambda: taxonomy_from_edges({"0": "a"}, [("0", "1")]), "edge 1, 0 > 1: '1' is the id of no class; add it"),
        (lambda: taxonomy_from_rows([{"label": 0, "name": "a"}]), "row 1: 'parents' is missing"),
        (
            lambda: taxonomy_from_rows([{"label": 0, "name": name, "parents": []} for name in "ab"]),
            "row 2: label '0' stands twice; write one row with all parents",
        ),
        (
            lambda: parse_label_files("0 a", ""),
            "labels.txt, line 1: expected two columns with a tab between, got '0 a'",
        ),
        (lambda: parse_label_files("0\ta\n0\tb", ""), "labels.txt: entry 2 has id '0', which stands twice"),
        (lambda: parse_label_files("0\ta\n1\tb", "0\t1\n0\t1"), "parents of '1': '0' stands twice"),
        (lambda: parse_label_files("0\ta\n1\tb", "0\t1\n1\t0"), "a cycle"),
        (lambda: taxonomy_from_paths(["a >  > b"]), "path 'a >  > b': a label within it is blank"),
        (lambda: taxonomy_from_paths([]), "one class or more, got none"),
        (lambda: taxonomy_from_paths(["a > b", "a > B"]), "two classes below 'a' are called 'b'"),
        (lambda: parse_taxonomy_json("{"), "not JSON"),
        (lambda: parse_taxonomy_json('["a"]'), "expected an object with the roots"),
        (lambda: parse_taxonomy_json('{"a": 3}'), "below 'a': expected an object, an array of texts or null, got 3"),
        (lambda: parse_taxonomy_json('{"a": ["b", 3]}'), 'got \\["b", 3\\]'),
        (lambda: parse_taxonomy_json('{"a": {"b": null, "b": null}}'), "'b' stands twice in one object"),
        (lambda: parse_taxonomy_json('{"a": ["b", "b"]}'), "below 'a' a label stands twice in one array"),
        (lambda: parse_taxonomy_json('{"a": {" ": null}}'), "below a: a label is blank"),
        (lambda: merge_same_names(taxonomy_from_paths(["a > b > a"])), "a > b > a is a cycle"),
    ],
)
def test_what_is_refused(read, message):
    with pytest.raises(ValueError, match=message):
        read()


@pytest.mark.parametrize(
    "name, levels, edges, several, roots, leaves, paths",
    [("amazon531", [6, 63, 455, 7], 568, 25, 6, 462, 511), ("dbpedia298", [9, 70, 219], 289, 0, 9, 219, 219)],
)
def test_real_taxonomies(shared_data, name, levels, edges, several, roots, leaves, paths):
    rows = parquet.read_table(shared_data / "teleclass" / f"{name}_classes.parquet").to_pylist()
    taxonomy = taxonomy_from_rows(rows)
    assert np.bincount(taxonomy.levels).tolist() == levels
    assert sum(map(len, taxonomy.parents)) == edges and sum(len(each) > 1 for each in taxonomy.parents) == several
    assert (len(taxonomy.roots), len(taxonomy.leaves), len(taxonomy.paths)) == (roots, leaves, paths)
    assert [sorted(row["children"]) for row in rows] == [list(each) for each in taxonomy.children]
    assert not any("_" in name for name in taxonomy.names)


def test_real_columns_of_categories(shared_data):
    """18 names of the third column stand below several parents; merged, each is one class, as in Amazon-531."""
    reviews = parquet.read_table(shared_data / "amazon_reviews_hier" / "reviews.parquet").to_pylist()
    taxonomy = taxonomy_from_paths([(row["cat1"], row["cat2"], row["cat3"]) for row in reviews])
    merged = merge_same_names(taxonomy)
    amazon = taxonomy_from_rows(parquet.read_table(shared_data / "teleclass" / "amazon531_classes.parquet").to_pylist())
    assert len(taxonomy.roots) == 6 and set(merged.names) <= set(amazon.names) and len(merged) < len(taxonomy)
