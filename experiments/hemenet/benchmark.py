"""Real structures and labels, in a folder as Protein-MT's raw inputs come; whatever of it is there is used.

    structures/                             1abc.pdb, 1abc.cif.gz, pdb1abc.ent.gz, ...
    annotations/nrPDB-EC_*_annot.tsv        DeepFRI's enzyme classes
    annotations/nrPDB-GO_*_annot.tsv        DeepFRI's gene ontology
    annotations/nrPDB-EC_*_test.csv         which bins of sequence identity test proteins are in; -GO_ as well
    annotations/chain_to_uniprot.json
    annotations/INDEX_general_PL*           PDBbind's affinities of ligands
    annotations/INDEX_general_PP*           PDBbind's affinities of proteins
    annotations/protein_mt_split/           train.txt, train_all.txt, val.txt, test.txt

Structures are read and graphs made once, into ``compiled/`` of the run's folder, and a killed compilation goes on.
"""

import functools
import pathlib
from collections.abc import Sequence

from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.protein.annotations import read_splits
from jaxalign.protein.labels import Labeller, make_labeller
from jaxalign.protein.structure_files import find_structures

_PATTERNS = {
    "ec": "nrPDB-EC_*_annot.tsv",
    "go": "nrPDB-GO_*_annot.tsv",
    "lba": "INDEX_general_PL*",
    "ppa": "INDEX_general_PP*",
    "chain_to_uniprot": "chain_to_uniprot.json",
}
_TRAIN = ("train", "train_all")
HELD_OUT = 3  # without splits: one labelled entry in so many


class Labelled(Sequence):
    """Compiled examples of several splits as labelled graphs, those that are no larger than a batch."""

    def __init__(
        self, sources: Sequence[protein.ProteinMtSource], tasks: Sequence[protein.Task], largest: protein.BatchSize
    ):
        self.sources, self.tasks = sources, tasks
        places = [(source, n) for source in sources for n in range(len(source))]
        fits = lambda source, n: largest.holds(protein.size_of([protein.ProteinGraph(**source[n].graph)]))  # noqa: E731
        self.places = [place for place in places if fits(*place)]
        self.too_large = len(places) - len(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> protein.LabelledGraph:
        if not 0 <= number < len(self):
            raise IndexError(f"expected a number below {len(self)}, got {number}")
        source, n = self.places[number]
        return protein.label_example(source[n], self.tasks)


def make_world(
    folder: pathlib.Path | None,
    work: pathlib.Path,
    *,
    largest: protein.BatchSize,
    num_workers: int,
    alpha_carbons: bool = False,
) -> ProteinWorld:
    """Compiles what the folder has, and reads it.

    Args:
      folder: structures and annotations.
      work: the run's folder; what is compiled goes into its ``compiled/``.
      largest: graphs that are larger than such a batch are left out.
      num_workers: processes that read structures; 0: this one does.
      alpha_carbons: makes graphs of these alone.

    Raises:
      ValueError: there is no such folder, or a file in it is not as it should be.
    """
    if folder is None or not (folder / "structures").is_dir():
        lacking = "" if folder is None else ", which has no folder structures" if folder.is_dir() else ", which is none"
        raise ValueError(f"expected --data FOLDER with structures/ and annotations/, got {folder}{lacking}")
    sources = find_sources(folder / "annotations")
    labeller = make_labeller(sources, skip_bad_rows=True)
    output = work / "compiled" / ("alpha-carbons" if alpha_carbons else "all-atoms")
    reports = protein.compile_protein_mt(
        output,
        structures=folder / "structures",
        splits=find_splits(folder, labeller, work / "compiled"),
        sources=sources,
        read_structure=protein.read_structure,
        make_graph=alpha_carbon_graph if alpha_carbons else protein.make_graph,
        num_workers=num_workers,
        skip_bad_rows=True,
        progress_fn=lambda name, done, total: print(f"compiling {name}: {done}/{total}", flush=True),
    )
    for name, report in reports.items():
        print(f"{name}: {report.examples} of {report.entries} entries; left out: {dict(report.reasons) or 'none'}")
    classes = {name: known.terms for name, known in labeller.annotations.items()}
    tasks = tuple(
        protein.Task(task.name, task.level, task.kind, len(classes.get(task.name, "1")))
        for task in protein.PROTEIN_MT_TASKS
        if task.name in classes or getattr(sources, task.name, None)
    )
    read = functools.partial(protein.read_protein_mt, output)
    labelled = lambda names: Labelled([read(name) for name in names], tasks, largest)  # noqa: E731
    train = labelled([name for name in reports if name in _TRAIN])
    tests = {name: labelled([name]) for name in reports if name not in _TRAIN}
    for name, graphs in {"train": train, **tests}.items():
        print(f"{name}: {len(graphs)} graphs, {graphs.too_large} larger than a batch are left out")
        if not len(graphs):
            raise ValueError(f"{name}: expected a graph or more, got none that fits in a batch. Raise --batch")
    return ProteinWorld(tasks, train, tests, classes)


def find_sources(folder: pathlib.Path) -> protein.Sources:
    """Finds the label files that a folder has.

    Raises:
      ValueError: it has none.
    """
    if not any(path for pattern in _PATTERNS.values() for path in folder.glob(pattern)):
        raise ValueError(f"{folder}: expected files such as {', '.join(_PATTERNS.values())}, got none. Add one")
    find = lambda pattern: next(iter(sorted(folder.glob(pattern))), None)  # noqa: E731
    bins = {name: find(f"nrPDB-{name.upper()}_*_test.csv") for name in ("ec", "go")}
    return protein.Sources(
        **{name: find(pattern) for name, pattern in _PATTERNS.items()},
        identity={name: path for name, path in bins.items() if path},
    )


def find_splits(folder: pathlib.Path, labeller: Labeller, work: pathlib.Path) -> pathlib.Path:
    """Finds the folder's splits if each has a structure here, or makes one of labelled structures, by their names."""
    given = folder / "annotations" / "protein_mt_split"
    structures = sorted(find_structures(folder / "structures"))
    codes = {entry.partition("-")[0] for entry in structures}
    if given.is_dir() and all(
        any(entry.partition("-")[0] in codes for entry in split) for split in read_splits(given).values()
    ):
        return given
    entries = [entry for entry in structures if labeller.may_have_labels(entry)]
    if len(entries) < HELD_OUT:
        raise ValueError(
            f"expected {HELD_OUT} structures or more that are labelled, got {len(entries)} of {len(structures)}. "
            "Add structures, or annotations of these"
        )
    parts = {"test": entries[HELD_OUT - 1 :: HELD_OUT]}
    parts["train"] = [entry for entry in entries if entry not in parts["test"]]
    made = work / "splits"
    made.mkdir(parents=True, exist_ok=True)
    for name, members in parts.items():
        (made / f"{name}.txt").write_text("".join(f"{entry}\n" for entry in members))
    return made


def alpha_carbon_graph(structure: protein.Structure) -> protein.ProteinGraph:
    """Makes the graph of alpha-carbons alone."""
    return protein.make_graph(protein.alpha_carbons(structure))
