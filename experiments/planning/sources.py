"""Articles from files, with the steps that their structure gives."""

import collections
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.planning.settings import Files
from jaxalign import data, planning
from jaxalign.planning import CitedSentence, PlannedArticle

UNRESOLVED = "[ERROR"
"""The beginning of a reference that FreshWiki could not resolve."""


class Request(NamedTuple):
    """A prompt that asks for a text of some length."""

    x: str
    length: int  # words, or characters of Chinese


class Source(NamedTuple):
    """Articles to learn from and to test on, and what was left out on the way, in words."""

    records: list[PlannedArticle]
    test: list[PlannedArticle] | None  # None: a share of the records
    notes: list[str]
    requests: tuple[Request, ...] = ()

    def split(self, share: float, seed: int) -> tuple[list[PlannedArticle], list[PlannedArticle]]:
        """Returns the articles to learn from and those to test on, drawn by the seed where no file has the latter.

        Raises:
          ValueError: if one of the parts is empty.
        """
        if self.test is not None:
            return self.records, self.test
        order = np.random.default_rng(seed).permutation(len(self.records))
        count = round(share * len(self.records))
        if not 0 < count < len(self.records):
            raise ValueError(
                f"--test-share {share:g} of {len(self.records)} articles leaves nothing to learn from or to test on"
            )
        return [self.records[n] for n in sorted(order[count:])], [self.records[n] for n in sorted(order[:count])]


def read(files: Files) -> Source:
    """Reads the articles that the flags name.

    Raises:
      ValueError: naming the file and the row of what cannot be read; if there is no file.
    """
    if files.data is None:
        raise ValueError("expected --data with a file of articles, or FreshWiki's folder; got none")
    records, notes = _read(files.data, files)
    test, more = (None, []) if files.test is None else _read(files.test, files)
    both = {record.x for record in records} & {record.x for record in test or ()}
    if both:
        raise ValueError(f"{files.test}: {len(both)} articles are learnt from too, such as {min(both)[:60]!r}")
    requests = () if files.requests is None else tuple(data.read_file(files.requests, read_request)[0])
    return Source(records, test, [*notes, *more], requests)


def _read(path: pathlib.Path, files: Files) -> tuple[list[PlannedArticle], list[str]]:
    if files.layout == "freshwiki":
        return _read_freshwiki(path, files)
    if files.layout == "kilt":
        return _of_structure(path, files, [(*planning.from_kilt(row), ()) for row in _rows(path)])
    names = {files.x_column: "x", files.article_column: "article"}
    return data.read_file(path, functools.partial(_record, names))[0], []


def read_request(row: Mapping[str, Any]) -> Request:
    prompt, length = row.get("prompt"), row.get("length")
    if not isinstance(prompt, str) or not prompt.strip() or not isinstance(length, int) or length < 1:
        raise ValueError(f"expected a prompt and a length of at least 1, got {prompt!r} and {length!r}")
    return Request(prompt, length)


def _record(names: Mapping[str, str], row: Mapping[str, Any]) -> PlannedArticle:
    # Files have columns of their own beside those of a record.
    known = {names.get(name, name): value for name, value in row.items()}
    return planning.from_row({name: value for name, value in known.items() if name in planning.FIELDS})


def _read_freshwiki(folder: pathlib.Path, files: Files) -> tuple[list[PlannedArticle], list[str]]:
    """Articles whose lead is the summary, headings the outline, cited sentences the key information."""
    cited = collections.defaultdict(list)
    unresolved = 0
    for row in _rows(folder / "sentences.parquet"):
        references = tuple(each for each in row["refs"] if not each.startswith(UNRESOLVED))
        unresolved += bool(row["refs"]) and not references
        cited[row["article"]].append(CitedSentence(row["sentence"], references))
    articles = []
    for row in _rows(folder / "articles.parquet"):
        body = row["text"].removeprefix(f"{row['page']}\n\n").removeprefix(row["summary"])
        articles.append((row["title"], row["summary"], body, cited[row["article"]]))
    records, notes = _of_structure(folder, files, articles)
    if unresolved:
        notes.append(f"{folder}: {unresolved} cited sentences have no reference that resolves, and are no facts")
    return records, notes


def _of_structure(path: pathlib.Path, files: Files, articles: Sequence) -> tuple[list[PlannedArticle], list[str]]:
    made = [
        planning.from_structure(
            title,
            lead,
            body,
            sentences,
            max_words=files.max_words or None,
            facts_per_section=files.facts_per_section or None,
            lead_sentences=files.lead_sentences or None,
            provenance=f"{path.name}, structure",
            id=title,
        )
        for title, lead, body, sentences in articles
    ]
    reports = [report for _, report in made]
    back, cut, _, facts = (sum(column) for column in zip(*reports, strict=True))
    notes = [f"{path}: of {len(made)} articles, {back} sections that list things and {cut} behind --max-words were cut"]
    return [record for record, _ in made], [*notes, f"{path}: {facts} cited sentences were left out of key information"]


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
    return data.read_file(path, dict)[0]


def complete(
    records: Sequence[PlannedArticle], parts: Sequence[str]
) -> tuple[list[PlannedArticle], list[PlannedArticle]]:
    """Returns the records that have these steps, and those that lack one."""
    whole = [record for record in records if set(parts) <= set(record.known_parts)]
    return whole, [record for record in records if not set(parts) <= set(record.known_parts)]


def write_records(path: pathlib.Path, records: Sequence[PlannedArticle]) -> None:
    """Writes records as JSON lines, which ``--data`` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(planning.to_row(record), ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf-8")
