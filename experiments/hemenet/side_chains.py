"""Side chains made on the spot: the longest path of heavy atoms behind CB, each bond turned to a rotamer at random.

Rings and branches are left out, and side chains may overlap: what counts here is that no backbone says where they
point. Bonds are 1.53 angstrom long, their angles 112 degrees.
"""

import numpy as np

from experiments.hemenet.backbones import attach
from jaxalign.protein.vocabulary import AMINO_ACIDS, element_class

_PATHS = {  # elements of the atoms behind CB, from it to the tip
    **{"SER": "O", "THR": "O", "CYS": "S", "VAL": "C", "PRO": "C", "ILE": "CC", "LEU": "CC", "ASP": "CO"},
    **{"ASN": "CN", "GLU": "CCO", "GLN": "CCN", "MET": "CSC", "HIS": "CNC", "LYS": "CCCN", "ARG": "CCNCN"},
    **{"PHE": "CCCC", "TYR": "CCCCO", "TRP": "CCCCN"},
}
LONGEST = max(map(len, _PATHS.values()))
BACKBONE = 5  # channels before the side atoms: N, CA, C, O, CB
CHANNELS = BACKBONE + LONGEST
_ROTAMERS = np.array([-60.0, 60.0, 180.0])  # degrees


def _elements(name: str) -> list[int]:
    symbols = ["N", "C", "C", "O", *("C" if name != "GLY" else ""), *_PATHS.get(name, "")]
    return [element_class(symbol) for symbol in symbols] + [0] * (CHANNELS - len(symbols))


ELEMENTS = np.array([_elements(name) for name in AMINO_ACIDS], np.int32)
"""Element classes of the atoms of each amino acid, ``[20, CHANNELS]``, 0 where there is no atom."""


def add_side_chains(backbones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns backbones ``[..., 5, 3]`` with atoms behind CB at random rotamers, ``[..., CHANNELS, 3]`` in angstrom.

    Every residue gets as many as the longest side chain; ``ELEMENTS`` says which of them its type has.
    """
    atoms = [backbones[..., channel, :] for channel in (0, 1, 4)]  # N, CA, CB
    for _ in range(LONGEST):
        turns = rng.choice(_ROTAMERS, backbones.shape[:-2]) + rng.normal(0, 10, backbones.shape[:-2])
        atoms.append(attach(*atoms[-3:], 1.53, 112.0, turns))
    return np.concatenate([backbones, np.stack(atoms[3:], axis=-2)], axis=-2)
