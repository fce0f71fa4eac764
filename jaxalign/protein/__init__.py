"""Protein structures as graphs."""

from jaxalign.protein.structures import Structure, StructureReport, alpha_carbons, combine, read_structure

__all__ = [
    "Structure",
    "StructureReport",
    "alpha_carbons",
    "combine",
    "read_structure",
]
