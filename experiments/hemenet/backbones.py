"""Protein backbones made on the spot: helices, strands and coils with ideal bonds, from their torsion angles.

Bond lengths and angles are those of Engh and Huber (1991), rounded; atoms are N, CA, C, O and, save for glycine, CB.
"""

import numpy as np

TORSIONS = {"helix": (-57.0, -47.0), "strand": (-129.0, 124.0)}  # phi and psi, degrees
_BONDS = {"N-CA": 1.458, "CA-C": 1.525, "C-N": 1.329, "C-O": 1.231, "CA-CB": 1.530}  # angstrom
_ANGLES = {"N-CA-C": 111.0, "CA-C-N": 117.2, "C-N-CA": 121.7, "CA-C-O": 120.1}  # degrees


def torsions(kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws ``[chains, residues, 2]``, phi and psi in degrees, for the kinds ``[chains, residues]``.

    Noise is 5 degrees, and coils turn freely.
    """
    angles = np.stack([rng.uniform(-150, -50, kinds.shape), rng.uniform(-60, 160, kinds.shape)], axis=-1)
    for kind, ideal in TORSIONS.items():
        chosen = kinds == kind
        angles[chosen] = ideal + rng.normal(0, 5, (chosen.sum(), 2))
    return angles


def backbone(angles: np.ndarray) -> np.ndarray:
    """Places ``[chains, residues, 5, 3]``: N, CA, C, O, CB in angstrom, from phi and psi ``[chains, residues, 2]``.

    Each residue is placed by those before it; peptide bonds are trans.
    """
    turn = np.radians(180 - _ANGLES["N-CA-C"])
    alpha = np.array([_BONDS["N-CA"], 0.0, 0.0])
    start = [np.zeros(3), alpha, alpha + _BONDS["CA-C"] * np.array([np.cos(turn), np.sin(turn), 0.0])]
    atoms = [np.broadcast_to(place, (len(angles), 3)) for place in start]
    phi, psi = np.moveaxis(angles, -1, 0)
    for number in range(1, angles.shape[1]):
        atoms.append(attach(*atoms[-3:], _BONDS["C-N"], _ANGLES["CA-C-N"], psi[:, number - 1]))
        atoms.append(attach(*atoms[-3:], _BONDS["N-CA"], _ANGLES["C-N-CA"], np.array(180.0)))
        atoms.append(attach(*atoms[-3:], _BONDS["CA-C"], _ANGLES["N-CA-C"], phi[:, number]))
    residues = np.stack(atoms, axis=1).reshape(*angles.shape[:2], 3, 3)
    n, ca, c = np.moveaxis(residues, 2, 0)
    oxygens = attach(n, ca, c, _BONDS["C-O"], _ANGLES["CA-C-O"], psi + 180)
    betas = attach(c, n, ca, _BONDS["CA-CB"], 110.5, np.array(-122.6))
    return np.concatenate([residues, oxygens[:, :, None], betas[:, :, None]], axis=2)


def attach(
    first: np.ndarray, second: np.ndarray, third: np.ndarray, length: float, angle: float, torsion: np.ndarray
) -> np.ndarray:
    """Places fourth atoms, bonded to the third ``[..., 3]``: angle second-third-fourth and torsion in degrees.

    Source: Parsons et al., 2005.
    """
    angle, torsion = np.radians(angle), np.radians(torsion)[..., None]
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)  # noqa: E731
    along = unit(third - second)
    normal = unit(np.cross(second - first, along))
    across = np.cross(normal, along)
    sideways = np.cos(torsion) * across + np.sin(torsion) * normal
    return third + length * (np.sin(angle) * sideways - np.cos(angle) * along)
