"""Shards: files of examples that are either complete or not there, whatever killed the process that wrote them.

A shard holds the examples of a fixed slice of a split's entries, ``shard-00003-of-00012.array_record``, and beside it
``shard-00003-of-00012.json`` says how many there are and which entries were dropped, why. Both are written under
another name and renamed, the second one last: it makes a shard a finished one.
"""

import contextlib
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.files import replaced, write_json
from jaxalign.protein.annotations import TASKS
from jaxalign.protein.example import ProteinExample, encode_example
from jaxalign.protein.labels import AFFINITIES, Labeller
from jaxalign.protein.structure_files import structure_of

ReadStructureFn = Callable[..., Any]
"""``read_structure(path, chains=None) -> Structure`` with ``chain_names``; ``chains``: the only ones to read."""

MakeGraphFn = Callable[[Any], Any]
"""``make_graph(structure) -> ProteinGraph``, a NamedTuple of arrays, numbers and None."""

# What readers raise for a file that is not as it should be; anything else is a fault of the code and stops the run.
BAD_FILE = (ValueError, OSError, EOFError, LookupError, zlib.error)


class Recipe(NamedTuple):
    """What makes an example of an entry; goes to worker processes as it is.

    Attributes:
      labeller: gives an entry's labels.
      structures: paths of structures by entry or code.
      read_structure: reads a structure.
      make_graph: makes a graph of it.
    """

    labeller: Labeller
    structures: Mapping[str, str]  # paths by entry or code
    read_structure: ReadStructureFn
    make_graph: MakeGraphFn


class Shard(NamedTuple):
    """One shard's place and its entries.

    Attributes:
      folder: the folder of the split.
      number: the number of the shard, from 0.
      total: how many shards the split has.
      entries: the entries of the shard's slice.
    """

    folder: str
    number: int
    total: int
    entries: tuple[str, ...]

    @property
    def data_path(self) -> pathlib.Path:
        """The file of examples; there is none where all entries were dropped."""
        return pathlib.Path(self.folder) / f"shard-{self.number:05d}-of-{self.total:05d}.array_record"

    @property
    def report_path(self) -> pathlib.Path:
        """The file that makes the shard a finished one."""
        return self.data_path.with_suffix(".json")


class Dropped(NamedTuple):
    """Why an entry is not in the data set.

    Attributes:
      reason: one of few, to be counted.
      detail: what there is to say of this entry.
    """

    reason: str  # one of few, to be counted
    detail: str


def cut_into_shards(folder: str | os.PathLike, entries: Sequence[str], shard_size: int) -> list[Shard]:
    """Returns the shards of a split.

    Args:
      folder: the folder of the split.
      entries: all entries of the split, in order.
      shard_size: entries of a shard; the last one has what is left.
    """
    slices = [tuple(entries[start : start + shard_size]) for start in range(0, len(entries), shard_size)]
    return [Shard(os.fspath(folder), number, len(slices), part) for number, part in enumerate(slices)]


def finished(shard: Shard) -> dict[str, Any] | None:
    """Returns a shard's report, or None if it has to be written: a file of another size counts as none.

    Args:
      shard: the shard.
    """
    try:
        report = json.loads(shard.report_path.read_text(encoding="utf-8"))
        size = shard.data_path.stat().st_size if report["examples"] else 0
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return report if size == report["bytes"] else None


def make_example(entry: str, recipe: Recipe) -> ProteinExample | Dropped:
    """Returns the example of an entry, or why there is none.

    Args:
      entry: the entry's name.
      recipe: what makes an example of it.
    """
    if not recipe.labeller.may_have_labels(entry):
        inexact = [task for task, codes in recipe.labeller.inexact_dropped.items() if entry in codes]
        return Dropped("no label", f"only an inexact one: {', '.join(inexact)}" if inexact else "no source has one")
    if (file := structure_of(entry, recipe.structures)) is None:
        return Dropped("no structure file", f"expected one such as {entry.partition('-')[0]}.cif.gz in the folder")
    try:
        structure = recipe.read_structure(file[0], chains=file[1])
    except BAD_FILE as error:
        return Dropped("unreadable", f"{os.path.basename(file[0])}: {type(error).__name__}: {error}")
    if not structure.chain_names:
        return Dropped("no protein chain", f"{os.path.basename(file[0])}, chains {file[1] or 'all'}")
    labels = recipe.labeller(entry, structure.chain_names)
    if not labels.labelled:
        return Dropped("no label", f"of the chains {', '.join(structure.chain_names)} none has one")
    try:
        graph = recipe.make_graph(structure)._asdict()
    except BAD_FILE as error:
        return Dropped("no graph", f"{type(error).__name__}: {error}")
    identity = {name: bins[entry] for name, bins in recipe.labeller.identity.items() if entry in bins}
    return ProteinExample(entry, tuple(structure.chain_names), graph, labels, identity)


def write_shard(shard: Shard, recipe: Recipe) -> dict[str, Any]:
    """Makes a shard's examples and writes them; returns its report.

    Args:
      shard: the shard.
      recipe: what makes an example of an entry.

    Returns:
      The number of examples, the bytes of their file, counts of labels by task, and which entries were dropped, why.

    Raises:
      OSError: the disk is full or cannot be written to.
    """
    counts = dict.fromkeys((*AFFINITIES, *(f"inexact {name}" for name in AFFINITIES), *TASKS), 0)
    dropped: dict[str, Dropped] = {}
    with replaced(shard.data_path) as file:
        examples = _write_records(file.name, shard, recipe, counts, dropped)
    report = {"examples": examples, "bytes": 0, "labelled": counts, "dropped": dropped}
    if examples:
        report["bytes"] = shard.data_path.stat().st_size
    else:
        shard.data_path.unlink()
    write_json(shard.report_path, report)
    return report


def _write_records(path: str, shard: Shard, recipe: Recipe, counts: dict[str, int], dropped: dict[str, Dropped]) -> int:
    """Writes the examples there are, fills in the counts and who was dropped; returns the number of examples."""
    from array_record.python import array_record_module

    written = 0
    with _told():
        # One record in a group: a group is what is decompressed at once, and reading is in random order.
        writer = array_record_module.ArrayRecordWriter(path, "group_size:1")
    try:
        for entry in shard.entries:
            example = make_example(entry, recipe)
            if isinstance(example, Dropped):
                dropped[entry] = example
                continue
            data = encode_example(example)
            with _told():
                writer.write(data)
            _count(counts, example)
            written += 1
    finally:
        # Much is written only here, and what went wrong before is told here.
        with _told():
            writer.close()
    return written


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """array_record's word for "cannot write" as the system's."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _count(counts: dict[str, int], example: ProteinExample) -> None:
    """Entries with an affinity, chains with terms."""
    labels = example.labels
    for column, name in enumerate(AFFINITIES):
        counts[name] += int(labels.affinity_mask[column])
        counts[f"inexact {name}"] += int(labels.affinity_mask[column] and not labels.affinity_exact[column])
    for column, name in enumerate(TASKS):
        counts[name] += int(labels.term_mask[:, column].sum())
