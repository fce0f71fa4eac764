"""Protein-MT, compiled once from what a user has into files that training reads in any order.

In: a folder of structures, annotations, affinities, a map of chains to UniProt ids, a folder of splits; see
:class:`~jaxalign.protein.labels.Sources`. Out: one folder per split with ``manifest.json`` (what the examples depend
on), shards of examples, and ``report.json`` (how many entries, which were dropped and why).

    compile_protein_mt("compiled", structures="pdb", splits="protein_mt_split", read_structure=..., make_graph=...,
                       sources=Sources(ec="nrPDB-EC_2020.04_annot.tsv", chain_to_uniprot="chain_to_uniprot.json"))
    examples = read_protein_mt("compiled", "train")

Killed at any moment, the same command goes on with the first shard that is not complete. One run at a time per folder.
"""

import collections
import concurrent.futures
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import operator
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, SupportsIndex

from jaxalign.files import remove_drafts, write_json
from jaxalign.protein import shards
from jaxalign.protein.annotations import read_splits
from jaxalign.protein.example import ProteinExample, decode_example
from jaxalign.protein.function_key import function_key
from jaxalign.protein.graph_cache import RULES
from jaxalign.protein.labels import Sources, make_labeller
from jaxalign.protein.structure_files import find_structures, listing

FORMAT = 2
Path = str | os.PathLike


class SplitReport(NamedTuple):
    """What became of a split's entries."""

    entries: int
    examples: int
    labelled: Mapping[str, int]  # entries with an affinity, of these inexact ones, and chains with terms, by task
    reasons: Mapping[str, int]  # how many entries were dropped, by reason
    dropped: Mapping[str, tuple[str, str]]  # reason and detail by entry
    bad_rows: Mapping[str, Sequence[str]]  # lines of the affinities that skip_bad_rows left out, by task


def compile_protein_mt(
    output: Path,
    *,
    structures: Path,
    splits: Path,
    sources: Sources,
    read_structure: shards.ReadStructureFn,
    make_graph: shards.MakeGraphFn,
    only: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    shard_size: int = 256,
    num_workers: int = 0,
    drop_inexact: bool = False,
    skip_bad_rows: bool = False,
    progress_fn: Callable[[str, int, int], None] | None = None,
    function_keys: Mapping[str, str] | None = None,
) -> dict[str, SplitReport]:
    """Compiles splits; what is finished already is kept.

    Args:
      structures: files by their names, see :mod:`jaxalign.protein.structure_files`.
      splits: a folder of ``train.txt``, ``test.txt`` and so on; a split has the name of its file.
      read_structure, make_graph: see :mod:`jaxalign.protein.shards`; with workers, functions of a module.
      only: the splits to compile, by name; all by default.
      settings: JSON, whatever else the examples depend on, for instance how many neighbours a node has.
      shard_size: entries per shard: what a killed run loses at most, per worker.
      num_workers: processes; 0 for none beside this one. The files are the same for any number.
      drop_inexact, skip_bad_rows: of the affinities, see :func:`~jaxalign.protein.affinities.read_affinities`.
      progress_fn: called with the split's name, finished shards and all of them.
      function_keys: texts for ``read_structure`` and ``make_graph`` that change whenever these do; by default made of
        their code, arguments and all that they read, see :mod:`jaxalign.protein.function_key`.

    Returns:
      A report per split, as in its ``report.json``.

    Raises:
      ValueError: a source's, naming file and line; the folder was compiled with other settings, naming them; a split
        without any example; a function depends on something of which no key can be made.
      OSError: the files could not be written.
    """
    if shard_size < 1 or num_workers < 0:
        raise ValueError(f"expected shard_size >= 1 and num_workers >= 0, got {shard_size} and {num_workers}")
    chosen = _chosen_splits(splits, only)
    labeller = make_labeller(sources, drop_inexact=drop_inexact, skip_bad_rows=skip_bad_rows)
    recipe = shards.Recipe(labeller, find_structures(structures), read_structure, make_graph)
    functions = {"read_structure": read_structure, "make_graph": make_graph}
    given = dict(function_keys or {})
    if unknown := sorted(given.keys() - functions.keys()):
        raise ValueError(f"expected function_keys of {', '.join(functions)}, got {', '.join(unknown)}")
    common = {
        "format": FORMAT,
        "rules": RULES,
        **{name: given.get(name) or function_key(function) for name, function in functions.items()},
        "settings": dict(settings or {}),
        "shard_size": shard_size,
        "drop_inexact": drop_inexact,
        "skip_bad_rows": skip_bad_rows,
    } | {f"source {name}": _digest(pathlib.Path(path).read_bytes()) for name, path in sources.paths().items()}
    reports = {}
    for name, entries in chosen.items():
        folder = pathlib.Path(output) / name
        folder.mkdir(parents=True, exist_ok=True)
        used = listing(entries, recipe.structures)
        _check_manifest(folder, common | {"entries": _digest_json(entries), "structures": _digest_json(used)})
        remove_drafts(folder)
        parts = _compile(shards.cut_into_shards(folder, entries, shard_size), recipe, num_workers, name, progress_fn)
        reports[name] = _joined(len(entries), parts, labeller.bad_rows)
        write_json(folder / "report.json", reports[name]._asdict())
        if not reports[name].examples:
            first = next(iter(reports[name].dropped.items()))
            raise ValueError(
                f"split {name!r}: all {len(entries)} entries were dropped: {dict(reports[name].reasons)}; "
                f"the first one, {first[0]}, for {': '.join(first[1])}"
            )
    return reports


class ProteinMtSource:
    """The examples of a compiled split, in random access; what ``grain.MapDataset.source`` takes."""

    def __init__(self, paths: Sequence[Path]):
        from array_record.python import array_record_data_source

        self._paths = [os.fspath(path) for path in paths]
        self._records = array_record_data_source.ArrayRecordDataSource(self._paths)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> ProteinExample:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected an index below {len(self)}, got {index}")
        return decode_example(self._records[index % len(self)])

    def __repr__(self) -> str:
        return f"ProteinMtSource({self._paths})"


def read_protein_mt(folder: Path, split: str) -> ProteinMtSource:
    """The examples of a split that :func:`compile_protein_mt` wrote to ``folder``, in the order of the split's file.

    Raises:
      ValueError: if there is no such split, or it is not finished, or a file is not as it was written.
    """
    place = pathlib.Path(folder) / split
    if not (place / "manifest.json").exists():
        known = sorted(path.parent.name for path in pathlib.Path(folder).glob("*/manifest.json"))
        raise ValueError(f"{folder}: expected a compiled split {split!r}, got {known}; compile it first")
    if not (place / "report.json").exists():
        raise ValueError(f"{place}: compiling it has not finished; start the same command again")
    report = json.loads((place / "report.json").read_text(encoding="utf-8"))
    shard_size = json.loads((place / "manifest.json").read_text(encoding="utf-8"))["shard_size"]
    total = -(-report["entries"] // shard_size)
    parts = [shards.Shard(os.fspath(place), number, total, ()) for number in range(total)]
    done = [(part, shards.finished(part)) for part in parts]
    if missing := [part.data_path.name for part, found in done if found is None]:
        raise ValueError(f"{place}: {', '.join(missing)} missing or not as written; start the compilation again")
    return ProteinMtSource([part.data_path for part, found in done if found["examples"]])


def _compile(
    parts: Sequence[shards.Shard], recipe: shards.Recipe, num_workers: int, name: str, progress_fn
) -> list[dict[str, Any]]:
    reports = {part.number: report for part in parts if (report := shards.finished(part)) is not None}
    todo = [part for part in parts if part.number not in reports]
    for number, report in _written(todo, recipe, min(num_workers, len(todo))):
        reports[number] = report
        if progress_fn is not None:
            progress_fn(name, len(reports), len(parts))
    return [reports[part.number] for part in parts]


def _written(
    todo: Sequence[shards.Shard], recipe: shards.Recipe, num_workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if not num_workers:
        yield from ((part.number, shards.write_shard(part, recipe)) for part in todo)
        return
    # Spawned, not forked: the caller may have started JAX, whose threads a fork does not survive.
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(recipe,)
    )
    try:
        futures = {pool.submit(_write_in_worker, part): part.number for part in todo}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise OSError(
            f"one of {num_workers} workers was killed, for want of memory perhaps. Finished shards are kept; "
            "start the same command again, with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_worker_recipe: shards.Recipe | None = None


def _start_worker(recipe: shards.Recipe) -> None:
    global _worker_recipe
    _worker_recipe = recipe
    # A killed parent sends no message: without this its workers would wait for one for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _write_in_worker(shard: shards.Shard) -> dict[str, Any]:
    return shards.write_shard(shard, _worker_recipe)


def _chosen_splits(folder: Path, only: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    found = read_splits(folder)
    if unknown := [name for name in only or () if name not in found]:
        raise ValueError(f"{folder}: expected splits of {sorted(found)}, got {unknown}")
    return found if only is None else {name: found[name] for name in only}


def _check_manifest(folder: pathlib.Path, wanted: dict[str, Any]) -> None:
    path, wanted = folder / "manifest.json", json.loads(json.dumps(wanted))
    if not path.exists():
        write_json(path, wanted)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if changed := [name for name in sorted(before | wanted) if before.get(name) != wanted.get(name)]:
        details = ", ".join(f"{name} was {before.get(name)!r} and is {wanted.get(name)!r}" for name in changed)
        raise ValueError(f"{folder} was compiled with other settings: {details}. Use those, or name a new folder")


def _joined(entries: int, parts: Sequence[Mapping[str, Any]], bad_rows: Mapping[str, Sequence[str]]) -> SplitReport:
    labelled, reasons = collections.Counter(), collections.Counter()
    dropped = {entry: tuple(why) for part in parts for entry, why in part["dropped"].items()}
    for part in parts:
        labelled.update(part["labelled"])
    reasons.update(reason for reason, _ in dropped.values())
    examples = sum(part["examples"] for part in parts)
    return SplitReport(entries, examples, dict(labelled), dict(reasons), dropped, bad_rows)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_json(content: Any) -> str:
    return _digest(json.dumps(content).encode())
