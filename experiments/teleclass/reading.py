"""Classes, documents and what is known of them, from files of any usual columns."""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.teleclass.pipeline import Terms, sets_of
from experiments.teleclass.settings import Files
from experiments.teleclass.source import Source, Texts, sort_terms
from jaxalign import data
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import PathDocument, Taxonomy


def read(files: Files, taxonomy: Taxonomy) -> Source:
    """Reads what the flags name beside the taxonomy.

    Raises:
      ValueError: naming the file and the row of what cannot be read, or of a class that is none.
    """
    terms, notes = (None, ()) if files.terms is None else read_terms(files.terms, files.terms_column, taxonomy)
    return Source(
        taxonomy,
        read_texts(files.corpus, files, taxonomy),
        None if files.test is None else read_texts(files.test, files, taxonomy, labelled=True),
        terms,
        None if files.phrases is None else read_phrases(files.phrases),
        None if files.documents is None else read_documents(files.documents, taxonomy),
        notes,
    )


def read_texts(path: pathlib.Path, files: Files, taxonomy: Taxonomy, *, labelled: bool = False) -> Texts:
    """Reads documents, with their classes where there is a column for them.

    Args:
      labelled: whether they have to have classes.
    """
    if labelled and not files.label:
        raise ValueError(f"{path}: expected --label with the column of the classes, or of a path; got none")
    find = class_finder(taxonomy)
    columns = data.TextColumns(files.text[0] if len(files.text) == 1 else files.text)

    def row_fn(row: Mapping[str, Any]):
        labels = _labels([_value(row, column) for column in files.label], find) if files.label else ()
        return columns(row).text, labels, _value(row, files.group) if files.group else None

    rows = data.read_file(path, row_fn)[0]
    texts, labels, groups = zip(*rows, strict=True)
    sets = sets_of(labels, len(taxonomy)) if files.label else None
    return Texts(texts, sets, groups if files.group else None)


def class_finder(taxonomy: Taxonomy) -> Callable[[str], int]:
    """Returns what finds the number of a class by its id, its name if no other has it, or its path from a root down.

    It raises ValueError for a name of no class, or of several.
    """
    paths: dict[str, int] = {}
    for path in taxonomy.paths:
        for end in range(1, len(path) + 1):
            paths[teleclass.render_path(taxonomy, path[:end])] = path[end - 1]
    spellings = teleclass.class_spellings(taxonomy)
    ids = {id: number for number, id in enumerate(taxonomy.ids)}

    @functools.cache
    def find(label: str) -> int:
        names = [teleclass.readable_name(part) for part in label.split(">")]
        found = ids.get(label, paths.get(" > ".join(names)))
        found = spellings.find(names[-1]) if found is None and len(names) == 1 else found
        if found is None:
            raise ValueError(
                f"{label!r} is no class of the taxonomy, or the name of several; give the id, or the path from a root "
                f"down, such as {teleclass.render_path(taxonomy, taxonomy.paths[0])!r}"
            )
        return found

    return find


def read_terms(path: pathlib.Path, column: str, taxonomy: Taxonomy) -> tuple[Terms, list[str]]:
    """Reads the terms of each class: rows with ``label`` or ``name``, and a list of terms in a column.

    Returns:
      The terms by class, none for classes without a row; and notes of what was left out.
    """
    find = class_finder(taxonomy)

    def row_fn(row: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
        label = row["label"] if row.get("label") is not None else _value(row, "name")
        return find(str(label)), tuple(map(teleclass.readable_name, _value(row, column)))

    found = dict(data.read_file(path, row_fn)[0])
    return sort_terms(path, found, taxonomy)


def read_phrases(path: pathlib.Path) -> Sequence[str]:
    """Reads phrases: lines, alone or behind a score and a tab; or rows with ``phrase`` and ``score``."""
    if path.suffix not in (".parquet", ".jsonl"):
        return teleclass.parse_phrases(path.read_text("utf-8"))
    rows = data.read_file(path, lambda row: f"{row.get('score', 1.0)}\t{_value(row, 'phrase')}")[0]
    return teleclass.parse_phrases("\n".join(rows))


def read_documents(path: pathlib.Path, taxonomy: Taxonomy) -> list[PathDocument]:
    """Reads written documents: rows with ``text`` and ``labels``, the path from a root down."""
    find = class_finder(taxonomy)

    def row_fn(row: Mapping[str, Any]) -> PathDocument:
        return PathDocument(_value(row, "text"), tuple(find(str(label)) for label in _value(row, "labels")))

    return list(data.read_file(path, row_fn)[0])


def _labels(values: Sequence[Any], find: Callable[[str], int]) -> list[int]:
    """The classes of a row: of several columns, or of one text with ``>``, all along the path; else those of a list."""
    if len(values) > 1:
        names = [str(value) for value in values if value not in (None, "")]
        return [find(" > ".join(names[:end])) for end in range(1, len(names) + 1)]
    (value,) = values
    if isinstance(value, str) and ">" in value:
        return _labels([part.strip() for part in value.split(">")], find)
    return [find(str(label)) for label in (value if isinstance(value, list | tuple) else [value])]


def _value(row: Mapping[str, Any], column: str) -> Any:
    if row.get(column) is None:
        raise ValueError(f"{column!r} is missing, the row has {', '.join(map(repr, row))}; name another column")
    return row[column]
