"""Proteins: structures and their labels, compiled into data sets."""

from jaxalign.protein.affinities import Affinity, AffinityIndex, parse_affinity, read_affinities
from jaxalign.protein.annotations import (
    GO_BRANCHES,
    TASKS,
    Annotations,
    entry_name,
    read_chain_map,
    read_ec,
    read_go,
    read_identity_bins,
    read_split,
    read_splits,
)
from jaxalign.protein.example import ProteinExample
from jaxalign.protein.labels import AFFINITIES, Labeller, Labels, Sources, make_labeller, multi_hot
from jaxalign.protein.protein_mt import ProteinMtSource, SplitReport, compile_protein_mt, read_protein_mt

__all__ = [
    "AFFINITIES",
    "GO_BRANCHES",
    "TASKS",
    "Affinity",
    "AffinityIndex",
    "Annotations",
    "Labeller",
    "Labels",
    "ProteinExample",
    "ProteinMtSource",
    "Sources",
    "SplitReport",
    "compile_protein_mt",
    "entry_name",
    "make_labeller",
    "multi_hot",
    "parse_affinity",
    "read_affinities",
    "read_chain_map",
    "read_ec",
    "read_go",
    "read_identity_bins",
    "read_protein_mt",
    "read_split",
    "read_splits",
]
