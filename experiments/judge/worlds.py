"""The pairs that judges are compared on."""

import dataclasses
import pathlib
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.common.judging import reports_world
from jaxalign import data
from jaxalign.data import JudgedPairColumns, PreferencePair, Source

if TYPE_CHECKING:
    from experiments.judge.__main__ import Config

TARGETS = {"first": 1.0, "second": 0.0, "tie": 0.5}
REMEDY_OF_ZERO = (
    "0 means a tie in some files and the first response in others; say which: --labels 0=tie 1=first 2=second, or "
    "--labels 0=first 1=second 2=tie"
)


class JudgeWorld(NamedTuple):
    """Pairs with known answers, and the rows that were skipped, with their reasons."""

    validation: list[PreferencePair]
    test: list[PreferencePair]
    skipped: dict[str, str] = {}


def make_world(config: "Config", seed: int) -> JudgeWorld:
    """Makes what ``config.task`` names; real pairs are drawn at random, prompts being on one side only.

    Raises:
      ValueError: if a file is missing, or too few pairs are there.
    """
    num_validation, num_test = config.num_pairs
    if config.task == "made":
        pairs = reports_world.make_pairs(seed, num_validation + num_test)
        return JudgeWorld(pairs[:num_validation], pairs[num_validation:])
    if config.data is None:
        raise ValueError("expected --data with the pairs to judge, got none")
    if config.task == "llmbar":
        source = data.read_parquet(config.data / "pairs.parquet", data.LLMBAR)
    else:
        source = read_pairs(config.data, config.columns, config.labels, skip_bad_rows=config.skip_bad_rows)
    skipped = dict(problem.split(": ", 1) for problem in source.report.problems)
    if (more := source.report.skipped - len(skipped)) > 0:
        skipped[f"{more} more rows"] = "of this kind or another"
    return JudgeWorld(*split_pairs(source.records, num_validation, num_test, seed), skipped)


def read_pairs(
    file: pathlib.Path, columns: tuple[str, str, str, str], labels: Sequence[str], *, skip_bad_rows: bool
) -> Source:
    """Reads the pairs of a file; each is called by the number of its row, from 1.

    Args:
      file: JSON lines or parquet.
      columns: the names of the columns of prompts, of both responses and of labels.
      labels: what the label's values mean, see :func:`read_targets`.
      skip_bad_rows: leave out rows that are not understood.

    Raises:
      ValueError: naming file, row and column, for a row that is not understood and not skipped; a label of 0 where
        nobody has said what it means, since 1 and 2 mean other things then too.
    """
    prompt, first, second, label = columns
    read = JudgedPairColumns(prompt, first, second, label, read_targets(labels))
    values = set()

    def row_fn(row: Mapping) -> PreferencePair:
        values.add(str(row.get(label)).strip())
        return read(row)

    source = data.read_file(file, row_fn, skip_bad_rows=skip_bad_rows)
    if read.targets is None and label and values & {"0", "0.0"}:
        raise ValueError(f"{file}: {label}: {REMEDY_OF_ZERO}")
    numbered = zip(source.records, source.rows, strict=True)
    return source._replace(records=[dataclasses.replace(pair, id=f"row {row + 1}") for pair, row in numbered])


def read_targets(labels: Sequence[str]) -> dict[str, float] | None:
    """Reads what ``VALUE=first``, ``VALUE=second`` and ``VALUE=tie`` say of a label's values; None without any.

    >>> read_targets(["0=tie", "1=first"]), read_targets([])
    ({'0': 0.5, '1': 1.0}, None)

    Raises:
      ValueError: one is of another form, or two are about one value.
    """
    pairs = [label.rpartition("=")[::2] for label in labels]
    targets = {value: TARGETS.get(meaning) for value, meaning in pairs}
    if None in targets.values() or "" in targets or len(targets) < len(pairs):
        raise ValueError(
            f"labels: expected VALUE=first, VALUE=second or VALUE=tie, each value once, got {' '.join(labels)!r}"
        )
    return targets or None


def split_pairs(
    pairs: list[PreferencePair], num_validation: int, num_test: int, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Splits off test pairs without a prompt of validation; the test takes what is there, up to ``num_test``."""
    order = random.Random(seed).sample(pairs, len(pairs))
    validation = order[:num_validation]
    prompts = {str(pair.prompt) for pair in validation}
    test = [pair for pair in order[num_validation:] if str(pair.prompt) not in prompts][:num_test]
    if not validation or not test:
        raise ValueError(f"expected pairs to calibrate on and others to test on, got {len(pairs)}; ask for fewer")
    return validation, test
