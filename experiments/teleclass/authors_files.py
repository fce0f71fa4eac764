"""A data set in the layout of TELEClass's own repository.

A folder has ``labels.txt`` and ``label_hierarchy.txt``; ``train/corpus.txt`` and ``test/corpus.txt`` with a document's
id, a tab and its text on each line; ``test/doc2labels.txt`` with an id, a tab and the ids of classes between commas;
and, where they were made, ``train/llm_enrichment.txt`` (``label:term,term``), ``train/autophrase_results.txt``, and
``train/generated_docs.txt`` with ``train/generated_doc2label.json``. Ids of documents are names, not line numbers.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

from experiments.teleclass.pipeline import sets_of
from experiments.teleclass.source import Source, Texts, sort_terms
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import PathDocument, Taxonomy


def read(folder: pathlib.Path, taxonomy: Taxonomy) -> Source:
    """Reads the data set in a folder.

    Args:
      folder: the data set's.
      taxonomy: what its two files of labels say.

    Raises:
      FileNotFoundError: a corpus or the labels of the test are missing.
      ValueError: naming the file and the line of what cannot be read; a document without labels.
    """
    if not folder.is_dir():
        raise ValueError(f"--corpus: expected a file of documents beside --taxonomy {folder}, which is no folder")
    train, test = (_columns(folder / part / "corpus.txt") for part in ("train", "test"))
    enrichment = folder / "train/llm_enrichment.txt"
    terms, notes = (None, []) if not enrichment.is_file() else sort_terms(enrichment, *_terms(enrichment, taxonomy))
    phrases = folder / "train/autophrase_results.txt"
    return Source(
        taxonomy,
        Texts(list(train.values()), _gold(folder / "train/doc2labels.txt", train, taxonomy, needed=False)),
        Texts(list(test.values()), _gold(folder / "test/doc2labels.txt", test, taxonomy, needed=True)),
        terms,
        teleclass.parse_phrases(phrases.read_text("utf-8")) if phrases.is_file() else None,
        _generated(folder, taxonomy),
        notes,
    )


def _columns(path: pathlib.Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; the authors' layout has the documents there, an id, a tab and a text on each line"
        )
    found: dict[str, str] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            id, tab, rest = line.rstrip("\n").partition("\t")
            if not tab or not rest.strip():
                raise ValueError(f"{path}, line {number}: expected an id, a tab and a text, got {line[:60]!r}")
            if id in found:
                raise ValueError(f"{path}, line {number}: the id {id!r} stands twice; give each document its own")
            found[id] = rest.strip()
    return found


def _gold(path: pathlib.Path, documents: Mapping[str, str], taxonomy: Taxonomy, *, needed: bool):
    """The classes of each document, by its id; None where there is no file and none is needed."""
    if not needed and not path.is_file():
        return None
    labels = _columns(path)
    if missing := [id for id in documents if id not in labels]:
        raise ValueError(
            f"{path}: {len(missing)} of {len(documents)} documents have no labels, the first {missing[0]!r}; ids of "
            "both files are to be the same"
        )
    return sets_of([[taxonomy.index(label) for label in labels[id].split(",")] for id in documents], len(taxonomy))


def _terms(path: pathlib.Path, taxonomy: Taxonomy) -> tuple[dict[int, Sequence[str]], Taxonomy]:
    numbers = {name: number for number, name in enumerate(taxonomy.names)}
    found: dict[int, Sequence[str]] = {}
    for place, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        label, colon, terms = line.partition(":")
        number = numbers.get(teleclass.readable_name(label))
        if not colon or number is None:
            raise ValueError(f"{path}, line {place}: expected a label of the taxonomy and a colon, got {line[:60]!r}")
        found[number] = tuple(map(teleclass.readable_name, terms.split(",")))
    return found, taxonomy


def _generated(folder: pathlib.Path, taxonomy: Taxonomy) -> list[PathDocument] | None:
    """The documents that were written for paths, or None if there are none."""
    texts, paths = folder / "train/generated_docs.txt", folder / "train/generated_doc2label.json"
    if not texts.is_file() and not paths.is_file():
        return None
    documents, labels = _columns(texts), json.loads(paths.read_text("utf-8"))
    if missing := documents.keys() ^ labels.keys():
        raise ValueError(f"{texts} and {paths.name} have other documents, such as {min(missing)!r}; make both anew")
    return [
        PathDocument(text, tuple(taxonomy.index(label) for label in labels[id]["with ancestors"]))
        for id, text in documents.items()
    ]
