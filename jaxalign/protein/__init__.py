"""Protein structures as graphs."""

from jaxalign.protein.graph_cache import cached_graph
from jaxalign.protein.graphs import ProteinGraph, make_graph
from jaxalign.protein.structures import Structure, StructureReport, alpha_carbons, combine, read_structure
from jaxalign.protein.vocabulary import AMINO_ACIDS, ELEMENT_CLASSES, NUM_CHANNELS, NUM_TYPES

__all__ = [
    "AMINO_ACIDS",
    "ELEMENT_CLASSES",
    "NUM_CHANNELS",
    "NUM_TYPES",
    "ProteinGraph",
    "Structure",
    "StructureReport",
    "alpha_carbons",
    "cached_graph",
    "combine",
    "make_graph",
    "read_structure",
]
