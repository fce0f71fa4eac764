"""Protein backbones made on the spot: helices, strands and coils with ideal bonds, from their torsion angles.

Bond lengths and angles are those of Engh and Huber (1991), rounded; atoms are N, CA, C, O and, save for glycine, CB.
"""

import numpy as np

TORSIONS = {"helix": (-57.0, -47.0), "strand": (-129.0, 124.0)}  # phi and psi, degrees
_BONDS = {"N-CA": 1.458, "CA-C": 1.525, "C-N": 1.329, "C-O": 1.231, "CA-CB": 1.530}  # angstrom
_ANGLES = {"N-CA-C": 111.0, "CA-C-N": 117.2, "C-N-CA": 121.7, "CA-C-O": 120.1}  # degrees


def torsions(kinds: list[str], rng: np.random.Generator) -> np.ndarray:
    """``[residues, 2]``, phi and psi in degrees: of the residue's kind, with noise of 5 degrees; coils turn freely."""
    angles = np.array([TORSIONS.get(kind, (0.0, 0.0)) for kind in kinds]) + rng.normal(0, 5, (len(kinds), 2))
    coil = np.array([kind == "coil" for kind in kinds])
    free = np.stack([rng.uniform(-150, -50, len(kinds)), rng.uniform(-60, 160, len(kinds))], axis=1)
    return np.where(coil[:, None], free, angles)


def backbone(angles: np.ndarray) -> np.ndarray:
    """``[residues, 5, 3]``: N, CA, C, O, CB in angstrom, from phi and psi ``[residues, 2]``; bonds are trans."""
    chain = [np.array([0.0, 0.0, 0.0]), np.array([_BONDS["N-CA"], 0.0, 0.0])]
    turn = np.radians(180 - _ANGLES["N-CA-C"])
    chain.append(chain[1] + _BONDS["CA-C"] * np.array([np.cos(turn), np.sin(turn), 0.0]))
    for (_, psi), (phi, _) in zip(angles[:-1], angles[1:], strict=True):
        chain.append(place(*chain[-3:], _BONDS["C-N"], _ANGLES["CA-C-N"], psi))
        chain.append(place(*chain[-3:], _BONDS["N-CA"], _ANGLES["C-N-CA"], 180.0))
        chain.append(place(*chain[-3:], _BONDS["CA-C"], _ANGLES["N-CA-C"], phi))
    residues = np.array(chain).reshape(len(angles), 3, 3)
    oxygens = [
        place(*residue, _BONDS["C-O"], _ANGLES["CA-C-O"], psi + 180)
        for residue, (_, psi) in zip(residues, angles, strict=True)
    ]
    betas = [place(c, n, ca, _BONDS["CA-CB"], 110.5, -122.6) for n, ca, c in residues]
    return np.concatenate([residues, np.array(oxygens)[:, None], np.array(betas)[:, None]], axis=1)


def place(first, second, third, length: float, angle: float, torsion: float) -> np.ndarray:
    """A fourth atom, bonded to the third: angle second-third-fourth and torsion in degrees (Parsons et al., 2005)."""
    angle, torsion = np.radians(angle), np.radians(torsion)
    along = (third - second) / np.linalg.norm(third - second)
    normal = np.cross(second - first, along)
    normal /= np.linalg.norm(normal)
    frame = np.stack([along, np.cross(normal, along), normal])
    local = [-np.cos(angle), np.cos(torsion) * np.sin(angle), np.sin(torsion) * np.sin(angle)]
    return third + length * np.array(local) @ frame
