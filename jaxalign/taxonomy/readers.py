"""Taxonomies from what files hold: rows, edges, paths, and nested JSON. Underscores in labels are blanks in names.

Rows and edges have ids, so a class of several parents is one class there. Paths and JSON have names only: a class is
its whole path, so that "food" below dogs and "food" below cats are two; :func:`merge_same_names` makes them one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxalign.taxonomy.taxonomy import Classes, Taxonomy, readable_name

SEPARATOR = ">"


def taxonomy_from_edges(labels: Mapping[str, str], edges: Iterable[tuple[str, str]]) -> Taxonomy:
    """Makes a taxonomy of labelled classes and of pairs of a parent and a child.

    Args:
      labels: the label of each class by its id, in the order that the classes will have; underscores become blanks.
      edges: pairs of ids, the parent first; classes without a parent are roots.

    Raises:
      ValueError: an edge has an unknown id, or the taxonomy is not one; see :class:`Taxonomy`.

    >>> taxonomy_from_edges({"0": "skin_care", "1": "eyes"}, [("0", "1")]).names
    ('skin care', 'eyes')
    """
    numbers = {id: number for number, id in enumerate(labels)}
    parents: list[list[int]] = [[] for _ in labels]
    for place, edge in enumerate(edges, 1):
        for id in edge:
            if id not in numbers:
                raise ValueError(
                    f"edge {place}, {' > '.join(edge)}: {id!r} is the id of no class; add it to the labels, or take "
                    "the edge out"
                )
        parents[numbers[edge[1]]].append(numbers[edge[0]])
    return Taxonomy(tuple(map(readable_name, labels.values())), tuple(map(tuple, parents)), tuple(labels))


def taxonomy_from_rows(rows: Iterable[Mapping[str, Any]]) -> Taxonomy:
    """Makes a taxonomy of one row for each class, as in a parquet file.

    Args:
      rows: each with ``label``, the id as a number or a text, ``name``, and ``parents``, a list of ids; others are not
        read. Classes have the order of the rows.

    Raises:
      ValueError: naming the row, from 1, and the field that is missing or stands twice, or an unknown parent.
    """
    labels: dict[str, str] = {}
    edges = []
    for place, row in enumerate(rows, 1):
        for field in ("label", "name", "parents"):
            if row.get(field) is None:
                raise ValueError(
                    f"row {place}: {field!r} is missing, expected label, name and parents; got {list(row)}"
                )
        id = str(row["label"])
        if id in labels:
            raise ValueError(f"row {place}: label {id!r} stands twice; write one row with all parents of the class")
        labels[id] = row["name"]
        edges += [(str(parent), id) for parent in row["parents"]]
    return taxonomy_from_edges(labels, edges)


def parse_label_files(labels: str, hierarchy: str) -> Taxonomy:
    r"""Reads the two files of TELEClass's own data: ``labels.txt`` and ``label_hierarchy.txt``.

    Args:
      labels: lines of an id and a label, with a tab between.
      hierarchy: lines of a parent's id and a child's id, with a tab between.

    Raises:
      ValueError: naming the file, the line from 1 and what is wrong there; or see :class:`Taxonomy`.

    >>> parse_label_files("7\tanimals\n9\tguinea_pigs\n", "7\t9\n").paths
    ((0, 1),)
    """
    by_id: dict[str, str] = {}
    for place, (id, label) in enumerate(_columns("labels.txt", labels), 1):
        if id in by_id:
            raise ValueError(f"labels.txt: entry {place} has id {id!r}, which stands twice; remove one of them")
        by_id[id] = label
    return taxonomy_from_edges(by_id, _columns("label_hierarchy.txt", hierarchy))


def taxonomy_from_paths(paths: Iterable[str | Sequence[str | None]], *, separator: str = SEPARATOR) -> Taxonomy:
    """Makes a taxonomy of ways from a root down: each class is its whole path, which is its id too.

    Args:
      paths: each as a text such as ``"pets > dogs > food"``, or as its labels in turn, for instance the columns of a
        row. Ways that end at an inner class, and ways that come again, add nothing. Blank labels at the end are not
        read, nor blank texts. Underscores in labels become blanks.
      separator: what stands between labels in texts.

    Returns:
      The classes in the order in which they first come, each behind its parent.

    Raises:
      ValueError: naming the path that has a blank label within; or there is no path at all.

    >>> taxonomy_from_paths(["pets > dogs > food", "pets > cats > food"]).ids
    ('pets', 'pets > dogs', 'pets > dogs > food', 'pets > cats', 'pets > cats > food')
    """
    numbers: dict[tuple[str, ...], int] = {}
    for path in paths:
        labels = path.split(separator) if isinstance(path, str) else path
        names = [readable_name(label or "") for label in labels]
        while names and not names[-1]:
            names.pop()
        if not all(names):
            raise ValueError(f"path {path!r}: a label within it is blank; write every label down to the last one")
        for depth in range(1, len(names) + 1):
            numbers.setdefault(tuple(names[:depth]), len(numbers))
    parents = tuple((numbers[path[:-1]],) if len(path) > 1 else () for path in numbers)
    ids = tuple(f" {SEPARATOR} ".join(path) for path in numbers)
    return Taxonomy(tuple(path[-1] for path in numbers), parents, ids)


def parse_taxonomy_json(text: str) -> Taxonomy:
    """Reads nested JSON: an object has what is below each label, and an array has labels with nothing below.

    Args:
      text: of an object, whose values are objects, arrays of texts, or null; underscores in labels become blanks.

    Returns:
      The classes in the order of the text; each class is its whole path, which is its id too.

    Raises:
      ValueError: naming the label below which something else stands, or which stands twice in one object or array.

    >>> parse_taxonomy_json('{"pets": {"dogs": ["food", "toys"], "cats": null}}').names
    ('pets', 'dogs', 'food', 'toys', 'cats')
    """
    try:
        tree = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"the taxonomy is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"expected an object with the roots as its labels, got {text[:20]!r}; write {{...}} around it")
    return taxonomy_from_paths(_walk(tree, ()))


def merge_same_names(taxonomy: Taxonomy) -> Taxonomy:
    """Makes one class of all classes that share a name, below the parents of all of them.

    Args:
      taxonomy: for instance one that was read from paths.

    Returns:
      Classes in the order in which their names first come, with their names as ids.

    Raises:
      ValueError: a class would stand above itself.

    >>> taxonomy = merge_same_names(taxonomy_from_paths(["pets > dogs > food", "pets > cats > food"]))
    >>> taxonomy.names, taxonomy.parents
    (('pets', 'dogs', 'food', 'cats'), ((), (0,), (1, 3), (0,)))
    """
    numbers: dict[str, int] = {}
    for name in taxonomy.names:
        numbers.setdefault(name, len(numbers))
    merged: list[dict[int, None]] = [{} for _ in numbers]
    for name, parents in zip(taxonomy.names, taxonomy.parents, strict=True):
        merged[numbers[name]] |= dict.fromkeys(numbers[taxonomy.names[parent]] for parent in parents)
    return Taxonomy(tuple(numbers), tuple(tuple(parents) for parents in merged))


def render_path(taxonomy: Taxonomy, path: Classes) -> str:
    """Returns the names along a way down, such as ``"pets > dogs > food"``.

    Args:
      taxonomy: the classes.
      path: class numbers, from the root down; one of ``taxonomy.paths``, or part of one.
    """
    return f" {SEPARATOR} ".join(taxonomy.names[number] for number in path)


def _columns(file: str, text: str) -> list[tuple[str, str]]:
    found = []
    for place, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2 or not all(cells):
            raise ValueError(f"{file}, line {place}: expected two columns with a tab between, got {line!r}")
        found.append((cells[0], cells[1]))
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's own reading keeps the last of two labels that are alike, and says nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        labels = [label for label, _ in pairs]
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"{twice!r} stands twice in one object; write what is below it in one place")
    return found


def _walk(tree: object, path: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    if isinstance(tree, list) and all(isinstance(label, str) for label in tree):
        if len(set(tree)) < len(tree):
            raise ValueError(f"below {path[-1]!r} a label stands twice in one array; remove one of them")
        tree = dict.fromkeys(tree)
    if not isinstance(tree, dict | None):
        raise ValueError(
            f"below {path[-1]!r}: expected an object, an array of texts or null, got {json.dumps(tree)[:40]}"
        )
    for label, below in (tree or {}).items():
        if not label.strip():
            raise ValueError(f"below {' > '.join(path) or 'nothing'}: a label is blank; give it a name")
        yield (*path, label)
        yield from _walk(below, (*path, label))
