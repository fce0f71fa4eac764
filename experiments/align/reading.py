"""Files as records to learn from and to test on, in the form that a loss takes them, with what was seen and counted."""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.align.methods import Method
from experiments.align.settings import Config, Data
from experiments.common.lists import spread_over_labels
from jaxalign import data
from jaxalign.data import PreferenceRecord


class Records(NamedTuple):
    """What a run learns from and is tested on, and what there is to say of it."""

    train: list[PreferenceRecord]
    test: list[PreferenceRecord]
    told: dict[str, str]  # by what it is about


class Part(NamedTuple):
    """Records of one kind, and what was seen in each file."""

    records: list[PreferenceRecord]
    kind: str
    told: list[str]


KINDS = {
    "preferences": "lists or pairs of responses",
    "unpaired": "single responses that are marked good or bad",
    "demonstrations": "examples to learn from",
}


def read(config: Config, method: Method) -> Records:
    """Reads the files of a run, and holds out prompts if there are none to test on.

    Raises:
      ValueError: there is nothing to read; a file's layout is not clear; the loss cannot learn from such records.
    """
    options = config.reading
    if not options.data:
        raise ValueError("expected --data FILE: JSONL, parquet, CSV, a folder that datasets saved, or tfds:NAME")
    part = _read(options.data, options.split, options)
    told = {"data": "; ".join(part.told), "records": _counted(part.records)}
    if options.test:
        held = _read(options.test, options.test_split, options)
        told["test"] = f"{'; '.join(held.told)}: {_counted(held.records)}"
        told["overlap"] = f"{_shared(part.records, held.records)} test records have a prompt that is learnt from"
    else:
        train, test = hold_out(part.records, options.held_out, options.max_held_out, config.seed)
        part, held = part._replace(records=train), part._replace(records=test)
        told["test"] = f"{len(test):,} records held out by prompt, seed {config.seed}; {len(train):,} are learnt from"
        told["overlap"] = "none: all records of a prompt are on one side"
    return Records(*(fitted(each, method, config.loss) for each in (part, held)), told)


def read_for_scoring(config: Config) -> Records:
    """Reads the files that a model is scored on: those to test on, or else all.

    Raises:
      ValueError: there is nothing to read, or a file's layout is not clear.
    """
    options = config.reading
    paths, split = (options.test, options.test_split) if options.test else (options.data, options.split)
    if not paths:
        raise ValueError("expected --test FILE or --data FILE with what the model is to be scored on")
    part = _read(paths, split, options)
    return Records([], part.records, {"data": "; ".join(part.told), "records": _counted(part.records)})


def fitted(part: Part, method: Method, loss: str) -> list[PreferenceRecord]:
    """The records as a loss takes them: lists, single responses, or the best ones.

    Raises:
      ValueError: the loss cannot learn from such records; says which one can.
    """
    if not part.records:
        return []
    if method.reads in ("pairs", "lists", "rewards"):
        if part.kind != "preferences":
            others = "sft" if part.kind == "demonstrations" else "kto, bco or apo-zero-unpaired"
            raise ValueError(
                f"--loss {loss} compares responses to one prompt, and the data are {KINDS[part.kind]}: take {others}"
            )
        return part.records
    if method.reads == "demonstrations":
        return [record.best() for record in part.records if max(record.labels) > 0]
    if part.kind == "demonstrations":
        raise ValueError(
            f"--loss {loss} needs responses marked good or bad, and the data are {KINDS[part.kind]}: take sft"
        )
    single = data.unpaired_records(part.records) if part.kind == "preferences" else part.records
    return data.with_mismatched(single) if method.reads == "mismatched" else single


def hold_out(
    records: Sequence[PreferenceRecord], share: float, most: int, seed: int
) -> tuple[list[PreferenceRecord], list[PreferenceRecord]]:
    """Divides records by prompt: those of some prompts, drawn by the seed, are for the test.

    Raises:
      ValueError: there is one prompt only, which cannot be on both sides.
    """
    prompts = list(dict.fromkeys(map(prompt_key, records)))
    if share == 0:
        return list(records), []
    if len(prompts) < 2:
        raise ValueError(
            "expected at least two prompts, one of which is held out, got one; pass --test, or --held-out 0"
        )
    count = min(max(round(share * len(prompts)), 1), most, len(prompts) - 1)
    order = np.random.default_rng(seed).permutation(len(prompts))
    held = {prompts[number] for number in order[:count]}
    sides = [], []
    for record in records:
        sides[prompt_key(record) in held].append(record)
    return sides


def prompt_key(record: PreferenceRecord) -> str:
    """A text that two records with one prompt have in common."""
    return json.dumps([record.prompt, record.tools], sort_keys=True, ensure_ascii=False)


def _read(paths: Sequence[pathlib.Path], split: str, options: Data) -> Part:
    parts = [_read_one(path, split, options) for path in paths]
    if len({part.kind for part in parts}) > 1:
        kinds = " and ".join(KINDS[kind] for kind in sorted({part.kind for part in parts}))
        raise ValueError(f"expected files of one kind, got {kinds}; align on one of them at a time")
    records = [record for part in parts for record in part.records]
    if options.as_chat:
        records = [record.as_chat() for record in records]
    return Part(records, parts[0].kind, [line for part in parts for line in part.told])


def _read_one(path: pathlib.Path, split: str, options: Data) -> Part:
    columns = _columns(options.columns)
    source, layout = data.read_any(path, split=split or None, columns=columns, skip_bad_rows=options.skip_bad_rows)
    records = [spread_over_labels(record, options.responses or len(record.labels)) for record in source.records]
    if layout.name == "conversations":
        records = [turn for record in records for turn in data.each_turn(record)]
    report = source.report
    left_out = f", {report.skipped:,} left out, such as {report.problems[0]}" if report.skipped else ""
    return Part(records, layout.kind, [f"{path}: {layout.seen} ({report.rows:,} rows{left_out})"])


def _columns(named: Sequence[str]) -> dict[str, str] | None:
    pairs = [each.partition("=") for each in named]
    if bad := [name for name, equals, column in pairs if not (equals and column)]:
        raise ValueError(f"--columns: expected ROLE=COLUMN, such as prompt=question, got {', '.join(bad)}")
    return {role: column for role, _, column in pairs} or None


def _counted(records: Sequence[PreferenceRecord]) -> str:
    """How many records, responses and prompts there are, and how many records are there twice."""
    distinct = {json.dumps([prompt_key(record), record.responses], sort_keys=True) for record in records}
    responses = sum(len(record.responses) for record in records)
    return (
        f"{len(records):,} with {responses:,} responses to {len(set(map(prompt_key, records))):,} prompts; "
        f"{len(records) - len(distinct):,} are exact duplicates of others"
    )


def _shared(train: Sequence[PreferenceRecord], test: Sequence[PreferenceRecord]) -> str:
    known = set(map(prompt_key, train))
    return f"{sum(prompt_key(record) in known for record in test):,} of {len(test):,}"
