"""Rewards for a whole data set, in one file of JSON lines that a killed run continues.

One line a record, in the order of the records, so that nothing is lost and nothing is there twice:

    {"index": 0, "id": "a", "source": "x", "record": "<hash>", "model": "<name>", "rewards": [0.5, -1.25]}
    {"index": 1, "id": "b", "source": "x", "record": "<hash>", "model": "<name>", "skipped": "prompt: over 512 tokens"}

``index`` counts from 0, ``record`` is a hash of prompt and responses, and ``model`` is what the caller says: a file is
never continued with other data or another model. Rewards stand in the order of the responses.
"""

import collections
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.data import EncodedLists, PreferenceRecord, join_lists
from jaxalign.data.lists import Bucket
from jaxalign.data.scoring import not_finite, raw_scores
from jaxalign.io.progress import Progress
from jaxalign.typing import RewardFn

EncodeFn = Callable[[Sequence[PreferenceRecord]], EncodedLists]
"""Token ids of records, cutting and counting what is too long, for instance a partial ``data.encode_lists``."""

BATCHES_AT_ONCE = 8  # batches of records between two writes: what a killed run computes again at most


class ScoringReport(NamedTuple):
    """What the file holds."""

    records: int
    skipped: int
    resumed: int  # lines that were there before
    duplicate_prompts: int  # records with the prompt of an earlier one; scored like all others
    empty_responses: int  # scored too
    problems: tuple[str, ...]  # why records were skipped, the first ten


def score_file(
    records: Sequence[PreferenceRecord],
    reward_fn: RewardFn,
    encode_fn: EncodeFn,
    out: str | os.PathLike,
    *,
    model: str,
    batch_size: int,
    list_size: int,
    buckets: Sequence[Bucket] | None = None,
    skip_bad_rows: bool = False,
    show: bool = True,
) -> ScoringReport:
    """Writes the rewards of all responses to ``out``; the same call continues where an earlier one was killed.

    Args:
      reward_fn: as for :func:`jaxalign.data.score_lists`, with ``batch_size`` lists of ``list_size`` responses.
      encode_fn: called with one record at a time; with ``buckets=None`` its limits are the only shape of batches.
      model: what identifies ``reward_fn`` and ``encode_fn``, for instance a hash of the parameters.
      skip_bad_rows: a record that is too long, or has a reward that is not finite, gets a line with the reason and is
        counted, instead of being an error.
      show: the progress display.

    Raises:
      ValueError: naming the record, if it is bad; naming the line, if ``out`` holds something else.
      OSError: if a line could not be written; those before it stay.
    """
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = _resume(out, records, model)
    resumed, step = len(rows), batch_size * BATCHES_AT_ONCE
    sizes = {"batch_size": batch_size, "list_size": list_size, "buckets": buckets}
    with Progress(f"scoring {out.name}", len(records), start=resumed, show=show) as progress, out.open("ab", 0) as file:
        for start in range(resumed, len(records), step):
            chunk = records[start : start + step]
            for index, (record, result) in enumerate(
                zip(chunk, _score(chunk, reward_fn, encode_fn, sizes), strict=True), start
            ):
                if "skipped" in result and not skip_bad_rows:
                    raise ValueError(f"{_place(index, record)}: {result['skipped']}. Correct it, or skip bad rows")
                rows.append(_identity(index, record, model) | result)
                _write(file, rows[-1])
            progress.update(len(rows), {}, 0.0)
    return _report(records, rows, resumed)


def read_scores(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of a file of scores.

    Raises:
      ValueError: naming the line, if one is not JSON.
    """
    rows = []
    for number, line in enumerate(pathlib.Path(path).read_bytes().splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error}); delete the file to score anew") from error
    return rows


def _resume(out: pathlib.Path, records: Sequence[PreferenceRecord], model: str) -> list[dict[str, Any]]:
    """The rows that are there, a last line without its end removed; ValueError if they belong to something else."""
    if not out.exists():
        return []
    with out.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
    rows = read_scores(out)
    if len(rows) > len(records):
        raise ValueError(f"{out} has {len(rows)} lines for {len(records)} records; it belongs to other data")
    for index, (row, record) in enumerate(zip(rows, records, strict=False)):
        expected = _identity(index, record, model)
        different = [name for name in ("index", "record", "model") if row.get(name) != expected[name]]
        if different:
            name = different[0]
            raise ValueError(
                f"{out}, line {index + 1}: {name} is {row.get(name)!r}, but this run would write {expected[name]!r}; "
                f"it was made from other data or by another model: write to another file"
            )
    return rows


def _score(records: Sequence[PreferenceRecord], reward_fn, encode_fn, sizes) -> list[dict[str, Any]]:
    """For each record its rewards, or why it has none."""
    encoded = [encode_fn([record]) for record in records]
    results = [{"skipped": problem} if (problem := _too_long(lists)) else {} for lists in encoded]
    fitting = [lists for lists, result in zip(encoded, results, strict=True) if not result]
    scores = iter(raw_scores(join_lists(fitting), reward_fn, **sizes) if fitting else ())
    for record, result in zip(records, results, strict=True):
        if not result:
            rewards = next(scores)[: len(record.responses)]
            problem = not_finite(rewards)
            result |= {"skipped": problem} if problem else {"rewards": rewards.tolist()}
    return results


def _too_long(lists: EncodedLists) -> str:
    if lists.report.prompts_truncated:
        return f"prompt: longer than the {lists.limits[0]} tokens that fit"
    if count := lists.report.responses_truncated:
        return f"responses: {count} longer than the {lists.limits[1]} tokens that fit"
    return ""


def _identity(index: int, record: PreferenceRecord, model: str) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([record.prompt, record.responses]).encode()).hexdigest()[:16]
    return {"index": index, "id": record.id, "source": record.source, "record": digest, "model": model}


def _write(file, row: Mapping[str, Any]) -> None:
    try:
        file.write((json.dumps(row) + "\n").encode())
    except OSError as error:
        raise OSError(
            f"could not write record {row['index']} to {file.name}: {error}. Free space, then start the same command "
            "again: it continues there"
        ) from error


def _place(index: int, record: PreferenceRecord) -> str:
    return f"record {index}, counted from 0" + (f", id {record.id!r}" if record.id else "")


def _report(records: Sequence[PreferenceRecord], rows: Sequence[Mapping], resumed: int) -> ScoringReport:
    problems = [
        f"{_place(row['index'], record)}: {row['skipped']}"
        for row, record in zip(rows, records, strict=True)
        if "skipped" in row
    ]
    prompts = collections.Counter(json.dumps(record.prompt) for record in records)
    return ScoringReport(
        records=len(records),
        skipped=len(problems),
        resumed=resumed,
        duplicate_prompts=len(records) - len(prompts),
        empty_responses=sum(record.responses.count("") for record in records),
        problems=tuple(problems[:10]),
    )
