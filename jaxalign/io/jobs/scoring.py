"""Rewards for a data set, in one file of JSON lines that a killed run continues.

One line a record, in the order of the records, so that nothing is lost and nothing is there twice:

    {"index": 0, "id": "a", "source": "x", "record": "<hash>", "model": "<name>", "rewards": [0.5, -1.25]}
    {"index": 1, "id": "b", "source": "x", "record": "<hash>", "model": "<name>", "skipped": "prompt: over 512 tokens"}

``index`` counts records from 0, ``row`` (where the caller says it) the rows that they were read from, skipped ones
included. ``record`` is a hash of prompt and responses, and ``model`` is what the caller says: a file is never continued
with other data or another model. Rewards stand in the order of the responses. Beside it stands
``<file>.settings.json``, where the caller names what the rewards depend on.
"""

import collections
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.data import EncodedLists, PreferenceRecord, join_lists
from jaxalign.data.batches.lists import Bucket
from jaxalign.data.labelling.scoring import not_finite, raw_scores
from jaxalign.io import keys, line_file
from jaxalign.io.run.progress import Progress
from jaxalign.typing import RewardFn

EncodeFn = Callable[[Sequence[PreferenceRecord]], EncodedLists]
"""Token ids of records, cutting and counting what is too long, for instance a partial ``data.encode_lists``."""

FORMAT = 1  # of the lines
BATCHES_AT_ONCE = 8  # batches of records between two writes: what a killed run computes again at most


class ScoringReport(NamedTuple):
    """What a file of scores holds.

    Attributes:
      records: its lines.
      skipped: records that have no score.
      resumed: lines that were there before this call.
      duplicate_prompts: records with the prompt of an earlier one; they are scored like all others.
      empty_responses: responses without text; they are scored too.
      problems: why records were skipped, the first ten.
    """

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
    settings: Mapping[str, Any] | None = None,
    rows: Sequence[int] | None = None,
    skip_bad_rows: bool = False,
    show: bool = True,
) -> ScoringReport:
    """Writes the rewards of all responses to a file; the same call continues where an earlier one was killed.

    Args:
      records: the records to score.
      reward_fn: gives rewards ``[batch_size, list_size]`` to a :class:`~jaxalign.typing.ListBatch`.
      encode_fn: makes token ids of a record; with ``buckets=None`` its limits are the only shape of batches.
      out: the file of JSON lines, with the fields that stand in this module's docstring.
      model: what identifies ``reward_fn`` and ``encode_fn``, for instance a hash of weights, config and tokenizer.
      batch_size: lists in a batch.
      list_size: responses in a list.
      buckets: shapes of batches as ``(prompt length, response length)``, in tokens.
      settings: what identifies them, part by part as in :mod:`jaxalign.io.keys`: an error says which part differs.
      rows: the row that each record was read from, as :class:`~jaxalign.data.Source` has them.
      skip_bad_rows: a record that is too long, or has a reward that is not finite, gets a line with the reason and is
        counted, instead of being an error.
      show: whether to show the progress.

    Returns:
      Counts of what the file holds.

    Raises:
      ValueError: naming the record, if it is bad; naming the line, if ``out`` holds something else.
      OSError: a line could not be written; those before it stay.
    """
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if settings is not None:
        keys.begin(out, {keys.FORMAT: FORMAT, **settings})
    identities = [_identity(index, record, model, rows) for index, record in enumerate(records)]
    lines = resume_lines(out, identities)
    resumed, step = len(lines), batch_size * BATCHES_AT_ONCE
    sizes = {"batch_size": batch_size, "list_size": list_size, "buckets": buckets}
    shown = Progress(f"scoring {out.name}", len(records), start=resumed, show=show)
    with shown as progress, line_file.Writer(out, promise="it continues there") as file:
        for start in range(resumed, len(records), step):
            chunk = records[start : start + step]
            for index, result in enumerate(_score(chunk, reward_fn, encode_fn, sizes), start):
                if "skipped" in result and not skip_bad_rows:
                    raise ValueError(
                        f"{place_of(identities[index])}: {result['skipped']}. Correct it, or skip bad rows"
                    )
                lines.append(identities[index] | result)
                file.append(json.dumps(lines[-1]), f"record {index}")
            progress.update(len(lines), {}, 0.0)
    return _report(records, lines, resumed)


def read_scores(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns the rows of a file of scores, without a last one that was cut off.

    Args:
      path: the file that :func:`score_file` wrote.

    Raises:
      ValueError: naming the line, if one is not JSON.
    """
    return line_file.read_rows(path, remedy="delete the file to score anew")


def resume_lines(out: pathlib.Path, identities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines that are there; ValueError if they belong to something else."""
    if not out.exists():
        return []
    lines = read_scores(out)
    if len(lines) > len(identities):
        raise ValueError(f"{out} has {len(lines)} lines for {len(identities)} records; it belongs to other data")
    for number, (line, expected) in enumerate(zip(lines, identities, strict=False), 1):
        for name in ("index", "record", "model", "row"):
            if line.get(name) != expected.get(name):
                raise ValueError(
                    f"{out}, line {number}: {name} is {line.get(name)!r}, but this run would write "
                    f"{expected.get(name)!r}; it was made from other data or by another model: write to another file"
                )
    return lines


def _score(records: Sequence[PreferenceRecord], reward_fn, encode_fn, sizes) -> list[dict[str, Any]]:
    """Gives each record's rewards, or why it has none."""
    encoded = [_encode(record, encode_fn) for record in records]
    results = [{"skipped": problem} if (problem := _problem(lists)) else {} for lists in encoded]
    fitting = [lists for lists, result in zip(encoded, results, strict=True) if not result]
    scores = iter(raw_scores(join_lists(fitting), reward_fn, **sizes) if fitting else ())
    for record, result in zip(records, results, strict=True):
        if not result:
            rewards = next(scores)[: len(record.responses)]
            problem = not_finite(rewards)
            result |= {"skipped": problem} if problem else {"rewards": rewards.tolist()}
    return results


def _encode(record: PreferenceRecord, encode_fn: EncodeFn) -> EncodedLists | str:
    """The record's tokens, or why it has none."""
    try:
        return encode_fn([record])
    except (ValueError, TypeError) as error:  # the latter of the tokenizers library, of texts that are none
        return f"not encoded: {error.__cause__ or error}"  # the record has another number there


def _problem(lists: EncodedLists | str) -> str:
    if isinstance(lists, str):
        return lists
    if lists.report.prompts_truncated:
        return f"prompt: longer than the {lists.limits[0]} tokens that fit"
    if count := lists.report.responses_truncated:
        return f"responses: {count} longer than the {lists.limits[1]} tokens that fit"
    return ""


def _identity(index: int, record: PreferenceRecord, model: str, rows: Sequence[int] | None) -> dict[str, Any]:
    text = json.dumps([record.prompt, record.responses])
    row = {} if rows is None else {"row": int(rows[index])}
    record_hash = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"index": index, **row, "id": record.id, "source": record.source, "record": record_hash, "model": model}


def place_of(line: Mapping[str, Any]) -> str:
    name = f", id {line['id']!r}" if line["id"] else ""
    return f"row {line['row'] + 1}{name}" if "row" in line else f"record {line['index']}, counted from 0{name}"


def _report(records: Sequence[PreferenceRecord], lines: Sequence[Mapping], resumed: int) -> ScoringReport:
    problems = [f"{place_of(line)}: {line['skipped']}" for line in lines if "skipped" in line]
    prompts = collections.Counter(json.dumps(record.prompt) for record in records)
    return ScoringReport(
        records=len(records),
        skipped=len(problems),
        resumed=resumed,
        duplicate_prompts=len(records) - len(prompts),
        empty_responses=sum(record.responses.count("") for record in records),
        problems=tuple(problems[:10]),
    )
