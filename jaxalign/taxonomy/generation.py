"""Documents for each path of a taxonomy from a language model, so that every class has some."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.prompting import parse_document
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.taxonomy.taxonomy import Classes, Taxonomy
from jaxalign.typing import GenerateFn


class PathDocument(NamedTuple):
    """A document that was written for a path.

    Attributes:
      text: the document.
      path: the classes that it is about, from a root down.
    """

    text: str
    path: Classes


class PathDocuments(NamedTuple):
    """What a model wrote for the paths of a taxonomy.

    Attributes:
      documents: those with a text, path by path.
      missing: how many of a path's requests gave no document, by path, with the reasons in order.
    """

    documents: tuple[PathDocument, ...]
    missing: Mapping[Classes, tuple[str, ...]]


def render_path_document(taxonomy: Taxonomy, path: Sequence[int], *, kind: str = "text") -> str:
    """Returns the request for one document about the class at the end of a path; it names the classes above.

    Args:
      taxonomy: the classes.
      path: their numbers, from a root down.
      kind: what a document is, such as ``"product review"``.

    Raises:
      ValueError: the path is empty.

    Source: TELEClass (arXiv 2403.00165), path-based data augmentation; the wording is ours.
    """
    if not path:
        raise ValueError("path: expected one class or more, got none")
    *above, last = (taxonomy.names[number] for number in path)
    under = f", which is below {' > '.join(above)}" if above else ""
    return f'Write one {kind} that belongs to the class "{last}"{under}. Answer with the text alone.'


def write_path_documents(
    generate: GenerateFn,
    taxonomy: Taxonomy,
    *,
    paths: Sequence[Classes] | None = None,
    count: int = 5,
    kind: str = "text",
    temperature: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
) -> PathDocuments:
    """Asks for documents of each path; refused and empty ones are counted and left out.

    Args:
      generate: continues prompts with texts, by a language model.
      taxonomy: the classes.
      paths: from a root down to a class each; None for all from a root to a leaf.
      count: documents of each path, at least 1.
      kind: what a document is, such as ``"product review"``.
      temperature: of the documents.
      max_tokens: the longest document, at least 1.
      seed: of the documents.

    Raises:
      ValueError: ``count`` or ``max_tokens`` is below 1, or the temperature below 0.

    Source: TELEClass (arXiv 2403.00165): 5 documents a path, temperature 1.
    """
    check_counts(count=count, max_tokens=max_tokens)
    check_temperature(temperature)
    paths = taxonomy.paths if paths is None else tuple(paths)
    prompts = [render_path_document(taxonomy, path, kind=kind) for path in paths]
    options = {"n": count, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    answers = generate(prompts, **options) if prompts else []
    documents, missing = [], {}
    for path, texts in zip(paths, answers, strict=True):
        parsed = [parse_document(text) for text in texts]
        documents += [PathDocument(each.text, path) for each in parsed if each.text is not None]
        if reasons := tuple(each.reason for each in parsed if each.text is None):
            missing[path] = reasons
    return PathDocuments(tuple(documents), missing)
