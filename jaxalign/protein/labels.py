"""The six labels of an entry, joined from whatever sources there are; what is not labelled is masked, not negative.

How labels find an entry, as Protein-MT was made (its authors' code, which this follows):

- An entry of one chain (``3qrf-F``) has the terms of its own row, and no affinity.
- A complex (``1f4e``) has the affinities of its PDB code. Each of its chains has the terms of its own row or, without
  one in that task, of the **first** annotated chain, in the order of the file, with the same UniProt id. Annotated
  chains of several UniProt ids lend their terms to none.
- A chain is labelled in a task if it has a term there. A chain in the GO file whose column for a branch is empty is
  not labelled in that branch.
- A complex is *fully labelled* if each of its UniProt ids is labelled in all four property tasks; chains without an id
  do not matter.

What the authors' code leaves open is decided so: "first" is by the annotation file, while theirs is by a json that is
not published (of 15,750 UniProt ids with EC numbers, 31 have chains that differ); the own row of a complex's chain
goes before that of its UniProt id; each GO branch finds its own first chain.

Source: HeMeNet (arXiv 2404.01693) and its code.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.protein.affinities import Affinity, AffinityIndex, read_affinities
from jaxalign.protein.annotations import (
    TASKS,
    Annotations,
    entry_name,
    read_chain_map,
    read_ec,
    read_go,
    read_identity_bins,
)

AFFINITIES = ("lba", "ppa")
"""The affinity tasks, in the order of every mask."""

Path = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Sources:
    """Files with labels; any subset of them works.

    Attributes:
      ec: DeepFRI's tsv of EC numbers.
      go: DeepFRI's tsv of gene ontology.
      lba: PDBbind's index of protein-ligand affinities.
      ppa: PDBbind's index of protein-protein affinities.
      chain_to_uniprot: json; without it complexes have the terms of their own rows only.
      identity: csv files of identity bins by name, such as "ec".
    """

    ec: Path | None = None
    go: Path | None = None
    lba: Path | None = None
    ppa: Path | None = None
    chain_to_uniprot: Path | None = None
    identity: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    def paths(self) -> dict[str, Path]:
        """Returns the files that are given, by name."""
        named = {field: getattr(self, field) for field in ("ec", "go", "lba", "ppa", "chain_to_uniprot")}
        named |= {f"identity {name}": path for name, path in self.identity.items()}
        return {name: path for name, path in named.items() if path is not None}


class Labels(NamedTuple):
    """The labels of one entry with C chains.

    Attributes:
      affinities: ``[2]`` float32, of AFFINITIES, -log10 of mol/l; 0 where missing.
      affinity_mask: ``[2]``, True where labelled.
      affinity_exact: ``[2]``, False where missing, or where the source gives a bound or a guess.
      terms: by task, ascending indices of each chain, int32; empty where missing.
      term_mask: ``[C, 4]``, of TASKS, True where labelled.
    """

    affinities: np.ndarray
    affinity_mask: np.ndarray
    affinity_exact: np.ndarray
    terms: Mapping[str, tuple[np.ndarray, ...]]
    term_mask: np.ndarray

    @property
    def labelled(self) -> bool:
        """Whether there is a label of any kind."""
        return bool(self.affinity_mask.any() or self.term_mask.any())


def multi_hot(indices: Sequence[np.ndarray], num_terms: int) -> np.ndarray:
    """Returns index lists of C chains as ``[C, num_terms]`` float32 of 0 and 1; rows of unlabelled chains are 0.

    Args:
      indices: of the terms of each chain.
      num_terms: of the task.

    Raises:
      ValueError: if an index is not below ``num_terms``.

    >>> multi_hot([np.array([0, 2]), np.array([], int)], 3).tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    rows = np.zeros((len(indices), num_terms), np.float32)
    for row, columns in zip(rows, indices, strict=True):
        if len(columns) and not 0 <= min(columns) <= max(columns) < num_terms:
            raise ValueError(f"expected indices of {num_terms} terms, got {max(columns)}; take the task's own number")
        row[columns] = 1
    return rows


@dataclasses.dataclass(frozen=True)
class Labeller:
    """Gives the labels of entries: ``labeller(entry, chains)``; made by :func:`make_labeller`.

    Attributes:
      annotations: terms by task.
      by_uniprot: by task, the chain whose terms a UniProt id has.
      chain_map: UniProt ids by entry and chain.
      affinities: by affinity task and PDB code.
      identity: bins by the name of their csv and by chain.
      codes: PDB codes of annotated chains.
      inexact_dropped: by affinity task, the codes that ``drop_inexact`` left out.
      bad_rows: by affinity task, the lines that ``skip_bad_rows`` left out, and why.
    """

    annotations: Mapping[str, Annotations]
    by_uniprot: Mapping[str, Mapping[str, str]]
    chain_map: Mapping[str, Mapping[str, str]]
    affinities: Mapping[str, Mapping[str, Affinity]]
    identity: Mapping[str, Mapping[str, tuple[bool, ...]]]
    codes: frozenset[str]
    inexact_dropped: Mapping[str, frozenset[str]]
    bad_rows: Mapping[str, tuple[str, ...]]

    def __call__(self, entry: str, chains: Sequence[str]) -> Labels:
        """Returns the labels of an entry whose structure has ``chains``, in that order.

        Raises:
          ValueError: if ``entry`` is no name of an entry, or names one chain and ``chains`` are not that one.
        """
        entry = entry_name(entry)
        code, _, chain = entry.partition("-")
        if chain and list(chains) != [chain]:
            raise ValueError(f"{entry} is one chain, expected chains ({chain!r},), got {tuple(chains)}")
        terms = {task: tuple(self._terms(task, entry, code, name) for name in chains) for task in TASKS}
        found = [self.affinities.get(task, {}).get(entry) for task in AFFINITIES]
        mask = [[len(terms[task][row]) > 0 for task in TASKS] for row in range(len(chains))]
        return Labels(
            affinities=np.array([0 if affinity is None else affinity.value for affinity in found], np.float32),
            affinity_mask=np.array([affinity is not None for affinity in found]),
            affinity_exact=np.array([affinity is not None and affinity.exact for affinity in found]),
            terms=terms,
            term_mask=np.array(mask, bool).reshape(len(chains), len(TASKS)),
        )

    def may_have_labels(self, entry: str) -> bool:
        """False only if no structure could bring a label to light, so that none has to be read."""
        entry = entry_name(entry)
        if any(entry in index for index in self.affinities.values()):
            return True
        if "-" in entry:
            return any(entry in task.chains for task in self.annotations.values())
        uniprots = self.chain_map.get(entry, {}).values()
        return entry in self.codes or any(
            uniprot in known for known in self.by_uniprot.values() for uniprot in uniprots
        )

    def fully_labelled(self, entry: str, tasks: Sequence[str] = TASKS) -> bool:
        """Whether each UniProt id of a complex is labelled in all ``tasks``; False without any id."""
        uniprots = set(self.chain_map.get(entry_name(entry), {}).values())
        return bool(uniprots) and all(
            uniprot in self.by_uniprot.get(task, {}) for task in tasks for uniprot in uniprots
        )

    def _terms(self, task: str, entry: str, code: str, chain: str) -> np.ndarray:
        known = self.annotations[task].chains if task in self.annotations else {}
        source = f"{code}-{chain}"
        if source not in known and "-" not in entry:
            uniprot = self.chain_map.get(entry, {}).get(chain)
            source = self.by_uniprot.get(task, {}).get(uniprot)
        return np.array(known.get(source, ()), np.int32)


def make_labeller(sources: Sources, *, drop_inexact: bool = False, skip_bad_rows: bool = False) -> Labeller:
    """Reads sources of labels and joins them.

    Args:
      sources: the files.
      drop_inexact: leave out affinities that are bounds or approximate, instead of taking the number for the value.
      skip_bad_rows: leave out lines of affinities that cannot be read, and say so, instead of stopping there.

    Returns:
      What gives the labels of entries.

    Raises:
      ValueError: if no source of labels is given, or a reader's, naming file and line.
    """
    if not any((sources.ec, sources.go, sources.lba, sources.ppa)):
        raise ValueError("expected one source of labels or more (ec, go, lba, ppa), got none")
    annotations = {"ec": read_ec(sources.ec)} if sources.ec else {}
    annotations |= read_go(sources.go) if sources.go else {}
    chain_map = read_chain_map(sources.chain_to_uniprot) if sources.chain_to_uniprot else {}
    indices: dict[str, AffinityIndex] = {
        task: read_affinities(path, drop_inexact=drop_inexact, skip_bad_rows=skip_bad_rows)
        for task in AFFINITIES
        if (path := getattr(sources, task))
    }
    return Labeller(
        annotations=annotations,
        by_uniprot={task: _first_chains(table, chain_map) for task, table in annotations.items()},
        chain_map=chain_map,
        affinities={task: index.affinities for task, index in indices.items()},
        identity={name: read_identity_bins(path) for name, path in sources.identity.items()},
        codes=frozenset(chain.partition("-")[0] for table in annotations.values() for chain in table.chains),
        inexact_dropped={task: frozenset(index.dropped) for task, index in indices.items()},
        bad_rows={task: index.problems for task, index in indices.items() if index.problems},
    )


def _first_chains(table: Annotations, chain_map: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for chain in table.chains:
        uniprots = set(chain_map.get(chain, {}).values())
        if len(uniprots) == 1:
            first.setdefault(uniprots.pop(), chain)
    return first
