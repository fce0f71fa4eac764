"""Generated documents in one file of JSON lines, one a request, in order, which a killed run continues.

    {"label": "Sports", "number": 0, "labels": ["Sports"], "values": {"style": "interview", "length": "30 to 80"},
     "prompt_hash": "<hash>", "draw": 0, "attempt": 0, "text": "...", "reason": "", "preamble": "", "tokens": 120}

A request without a document has ``null`` for a text and says why in ``reason``. Behind the preamble stands what the
caller knows of tokens and cost; what is unknown is absent. A row that was asked for again has the number of its
``attempt``, and under ``earlier`` what its attempts before gave and took. Beside the file stands
``<file>.settings.json``: it is continued with the requests and settings that it was begun with, or not at all.
"""

import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign import files
from jaxalign.attributes import DocumentRequest, write_documents
from jaxalign.io import keys, line_file
from jaxalign.io.jobs.document_rows import FIELDS, identity, make_line, make_row, read_rows_of
from jaxalign.io.run.progress import Progress
from jaxalign.prompting.options import check_counts
from jaxalign.typing import GenerateFn

UsageFn = Callable[[str, int], Mapping[str, Any]]
"""``usage_fn(prompt, seed)``: what the text of a prompt that was asked for with this seed took, see ATTEMPT_SEEDS.

For instance its tokens and cost; None stands for what is unknown.
"""

FORMAT = 1  # of the lines and the settings beside them
ATTEMPT_SEEDS = 1_000_000
"""Attempt ``a`` at draw ``k`` has the seed ``seed + a * ATTEMPT_SEEDS + k``; no prompt has that many draws."""


class DocumentFileReport(NamedTuple):
    """What a file of documents holds.

    Attributes:
      rows: its lines, one a request.
      found: rows that this call left as it found them.
      written: rows that this call wrote.
      failed: rows without a text.
      problems: why they have none, the first ten, each with its line.
    """

    rows: int
    found: int
    written: int
    failed: int
    problems: tuple[str, ...]


def write_document_file(
    path: str | os.PathLike,
    generate: GenerateFn,
    requests: Sequence[DocumentRequest],
    *,
    settings: Mapping[str, Any],
    usage_fn: UsageFn | None = None,
    chunk: int = 64,
    temperature: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
    show: bool = True,
) -> DocumentFileReport:
    """Writes the document of each request to a file; the same call continues behind the last complete line.

    A continued file equals one that was written without a break, byte for byte, if ``generate`` gives equal texts for
    equal arguments. Only requests without a line are asked, and with them those of the same prompt in the same chunk:
    what a model draws may depend on how many texts of a prompt it is asked for at once.

    Args:
      path: the file of JSON lines, with the fields that stand in this module's docstring; its folder is made.
      generate: continues prompts with texts, by a language model.
      requests: from :func:`jaxalign.attributes.make_requests`.
      settings: what else a continued file must agree on, as JSON, for instance the model.
      usage_fn: gives what the text of a prompt and a seed took, as JSON by name; None if nobody knows.
      chunk: how many documents to ask for at once; lines are written when a chunk is answered.
      temperature: of the documents.
      max_tokens: the longest document.
      seed: of draw 0 of each prompt; draw k has ``seed + k``.
      show: whether to show the progress.

    Returns:
      Counts of what the file holds.

    Raises:
      ValueError: there is no request; the file is of other requests or settings, naming what differs.
      RuntimeError: no request at all was answered with a document; the message has the first reason.
      OSError: a line could not be written; those before it stay.
    """
    options = {"temperature": temperature, "max_tokens": max_tokens}
    path = pathlib.Path(path)
    _begin(path, requests, {**options, "seed": seed, "chunk": chunk, "settings": dict(settings)})
    rows = read_rows_of(path, requests) if path.exists() else []
    found = len(rows)
    shown = Progress(path.name, len(requests), start=found, show=show)
    with shown as progress, line_file.Writer(path, promise="it continues there") as file:
        for start in range(found // chunk * chunk, len(requests), chunk):
            asked, missing = _asked(requests[start : start + chunk], len(rows) - start)
            if not missing:
                continue
            answers = list(write_documents(generate, asked, chunk=chunk, seed=seed, **options))
            for request, document in zip(missing, answers[-len(missing) :], strict=True):
                rows.append(make_row(document, 0, _usage(usage_fn, request, seed)))
                file.append(make_line(rows[-1]), f"document {len(rows)}")
            progress.update(len(rows), {}, 0.0)
    if all(row["text"] is None for row in rows):
        raise RuntimeError(
            f"none of the {len(rows)} requests of {path} gave a document; the first: {rows[0]['reason']}. Remove the "
            "cause, then ask again for those that failed"
        )
    return _report(rows, len(rows) - found)


def retry_failed(
    path: str | os.PathLike,
    generate: GenerateFn,
    requests: Sequence[DocumentRequest],
    *,
    settings: Mapping[str, Any],
    usage_fn: UsageFn | None = None,
    chunk: int = 64,
    temperature: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
    show: bool = True,
) -> DocumentFileReport:
    """Asks again, with other seeds, for the rows of a complete file that have no text; no other row is touched.

    The file is replaced at once when all have been asked: after a kill it is the one from before, and the same call
    asks the same questions.

    Args:
      path: the file that :func:`write_document_file` wrote to its end.
      generate: continues prompts with texts, by a language model.
      requests: those that the file was written for, all of them.
      settings: those that it was written with.
      usage_fn: gives what the text of a prompt and a seed took, as JSON by name; None if nobody knows.
      chunk: how many documents to ask for at once, as the file was written with.
      temperature: of the documents, as the file was written with.
      max_tokens: the longest document, as the file was written with.
      seed: the one that the file was written with; attempt ``a`` adds ``a`` times :data:`ATTEMPT_SEEDS`.
      show: whether to show the progress.

    Returns:
      Counts of what the file holds now.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: the file is of other requests or settings, naming what differs, or it lacks rows.
      RuntimeError: none of the rows got a text; the message has the first reason. The attempt is noted in the file, so
        that the next one has other seeds.
      OSError: the new file could not be written; the old one stays.
    """
    options = {"temperature": temperature, "max_tokens": max_tokens}
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing, so that no row has failed; write it first")
    _begin(path, requests, {**options, "seed": seed, "chunk": chunk, "settings": dict(settings)})
    rows = read_rows_of(path, requests)
    if len(rows) < len(requests):
        raise ValueError(f"{path} has {len(rows)} rows for {len(requests)} requests; write it to its end, then retry")
    failed = [place for place, row in enumerate(rows) if row["text"] is None]
    done = itertools.count(1)
    with Progress(f"{path.name}, again", len(failed), show=show) as progress:
        for attempt in sorted({rows[place]["attempt"] + 1 for place in failed}):
            places = [place for place in failed if rows[place]["attempt"] + 1 == attempt]
            seeds = seed + attempt * ATTEMPT_SEEDS
            some = [requests[place] for place in places]
            answers = write_documents(generate, some, chunk=chunk, seed=seeds, **options)
            for place, document in zip(places, answers, strict=True):
                rows[place] = make_row(document, attempt, _usage(usage_fn, requests[place], seeds), rows[place])
                progress.update(next(done), {}, 0.0)
    if failed:
        _replace_lines(path, {place: make_line(rows[place]) for place in failed})
    if failed and all(rows[place]["text"] is None for place in failed):
        raise RuntimeError(
            f"none of the {len(failed)} rows of {path} that were asked for again got a document; the first: "
            f"{rows[failed[0]]['reason']}. Remove the cause, or leave them out"
        )
    return _report(rows, len(failed))


def _begin(path: pathlib.Path, requests: Sequence[DocumentRequest], options: keys.Key) -> None:
    if not requests:
        raise ValueError(f"expected at least one request to write to {path}, got none; ask for some documents")
    check_counts(chunk=options["chunk"], max_tokens=options["max_tokens"])
    lines = "\n".join(json.dumps(identity(request)) for request in requests)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    keys.begin(path, {keys.FORMAT: FORMAT, "requests": {"count": len(requests), "prompts": digest}, **options})


def _asked(chunk: Sequence[DocumentRequest], found: int) -> tuple[list[DocumentRequest], Sequence[DocumentRequest]]:
    """What to ask for the requests of a chunk that have no line, which come last, and these."""
    missing = chunk[max(found, 0) :]
    prompts = {request.prompt for request in missing}
    return [request for request in chunk if request.prompt in prompts], missing


def _usage(usage_fn: UsageFn | None, request: DocumentRequest, seed: int) -> dict[str, Any]:
    """What is known of an answer: neither None nor NaN."""
    usage = usage_fn(request.prompt, seed + request.draw) if usage_fn else {}
    if taken := [name for name in usage if name in FIELDS]:
        raise ValueError(f"usage_fn gives {taken[0]!r}, which is a field of a document's row; rename it")
    return {name: value for name, value in usage.items() if value is not None and value == value}


def _replace_lines(path: pathlib.Path, lines: Mapping[int, str]) -> None:
    with path.open("rb") as old, files.replaced(path) as new:
        for place, line in enumerate(old):
            new.write(f"{lines[place]}\n".encode() if place in lines else line)


def _report(rows: Iterable[Mapping[str, Any]], written: int) -> DocumentFileReport:
    rows = list(rows)
    problems = [f"line {number}: {row['reason']}" for number, row in enumerate(rows, 1) if row["text"] is None]
    return DocumentFileReport(len(rows), len(rows) - written, written, len(problems), tuple(problems[:10]))
