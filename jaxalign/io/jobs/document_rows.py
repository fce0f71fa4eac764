"""The rows of a file of documents, whose fields stand in :mod:`jaxalign.io.jobs.documents`."""

import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.attributes import Assignment, Document, DocumentRequest, Task, prompt_hash
from jaxalign.io import keys, line_file

FIELDS = "label number labels values prompt_hash draw attempt text reason preamble earlier".split()
_IDENTITY = "label number labels values prompt_hash draw".split()


class StoredDocument(NamedTuple):
    """A row of a file of documents.

    Attributes:
      document: the text, or the reason why there is none, and what it was made from.
      attempt: how often it had been asked for before, 0 for what the first run wrote.
      usage: what its latest attempt took, by name, for instance ``tokens``; what is unknown is absent.
      earlier: for each attempt before, its ``reason`` and what it took.
    """

    document: Document
    attempt: int
    usage: Mapping[str, Any]
    earlier: tuple[Mapping[str, Any], ...]


def read_documents(path: str | os.PathLike) -> list[StoredDocument]:
    """Reads the rows of a file of documents, without a last line that was cut off.

    Args:
      path: the file that :func:`jaxalign.io.jobs.write_document_file` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is damaged; names the file and the line.
    """
    return line_file.read_rows(path, _stored, what="a document")


def check_prompts(path: str | os.PathLike, task: Task, render: Callable[[Task, Assignment], str]) -> int:
    """Renders the prompt of every row again from the values that it stores, and compares the hashes.

    Args:
      path: the file that :func:`jaxalign.io.jobs.write_document_file` wrote.
      task: the task that the documents were asked for.
      render: what made the prompt of an assignment, for instance :func:`jaxalign.attributes.render_document`.

    Returns:
      How many rows were checked, all of the file.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a row was made from another prompt; names the file and the line.
    """
    rows = read_documents(path)
    for number, (document, *_) in enumerate(rows, 1):
        try:
            found = prompt_hash(render(task, document.assignment))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}, line {number}: its values fit another task: {error}") from error
        if found != document.prompt_hash:
            raise ValueError(
                f"{path}, line {number}: expected a prompt of the hash {document.prompt_hash[:12]}…, got one of "
                f"{found[:12]}…; the row was made from another task or by another wording. Give those, or write a new "
                "file"
            )
    return len(rows)


def read_rows_of(path: pathlib.Path, requests: Sequence[DocumentRequest]) -> list[dict[str, Any]]:
    """The rows of a file, each of which belongs to the request in its place."""
    rows = line_file.read_rows(path, lambda row: (_stored(row), row)[1], what="a document")
    if len(rows) > len(requests):
        raise ValueError(f"{path} has {len(rows)} rows for {len(requests)} requests; name a new file")
    for number, (row, request) in enumerate(zip(rows, requests, strict=False), 1):
        expected = identity(request)
        for name in _IDENTITY:
            if row[name] != expected[name]:
                raise ValueError(
                    f"{path}, line {number}: {name} is {row[name]!r}, but the request has {expected[name]!r}; lines "
                    "were moved or edited. Undo that, or name a new file"
                )
    return rows


def identity(request: DocumentRequest) -> dict[str, Any]:
    """The fields of a row that its request decides."""
    return _made_of(request.assignment, request.labels, prompt_hash(request.prompt), request.draw)


def _made_of(assignment: Assignment, labels: Sequence[str], hashed: str, draw: int) -> dict[str, Any]:
    values = {"label": assignment.label, "number": assignment.number, "labels": list(labels)}
    return {**values, "values": dict(assignment.values), "prompt_hash": hashed, "draw": draw}


def make_row(document: Document, attempt: int, usage: keys.Key, before: keys.Key | None = None) -> dict[str, Any]:
    """The row of a document, with what it took and, after a retry, what the row before it says of earlier attempts."""
    row = _made_of(document.assignment, document.labels, document.prompt_hash, document.draw)
    row |= {
        "attempt": attempt,
        "text": document.text,
        "reason": document.reason,
        "preamble": document.preamble,
        **usage,
    }
    if before is not None:
        row["earlier"] = [*before.get("earlier", ()), {"reason": before["reason"], **_others(before)}]
    return row


def _stored(row: Mapping[str, Any]) -> StoredDocument:
    assignment = Assignment(row["label"], row["number"], tuple(row["values"].items()))
    document = Document(assignment, tuple(row["labels"]), row["prompt_hash"], row["draw"], row["text"])
    document = document._replace(reason=row["reason"], preamble=row["preamble"])
    return StoredDocument(document, row["attempt"], _others(row), tuple(row.get("earlier", ())))


def _others(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in FIELDS}


def make_line(row: Mapping[str, Any]) -> str:
    """A row as JSON that can be written as UTF-8, in which other scripts stay readable."""
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a character, where a server cut an answer
        return json.dumps(row)
    return line
