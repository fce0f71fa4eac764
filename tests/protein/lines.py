"""Small files of structures, as text."""

BACKBONE = ("N", "CA", "C", "O")


def atom(
    residue: str,
    name: str,
    *,
    at=(0.0, 0.0, 0.0),
    alt=" ",
    occupancy=1.0,
    chain="A",
    element="",
    record="ATOM",
    insert="",
) -> str:
    """A line of a pdb file; ``residue`` is name and number, for instance ``"ALA 12"``."""
    residue, number = residue.split()
    position = "".join(f"{x:8.3f}" for x in at)
    return (
        f"{record:<6}{1:>5}  {name:<3}{alt}{residue:>3} {chain}{number:>4}{insert or ' '}   {position}"
        f"{occupancy:6.2f}{0:6.2f}          {element or name[0]:>2}\n"
    )


def atoms(residue: str, names=BACKBONE, **options) -> str:
    """Several atoms, a bond's length apart, each residue 3.8 angstrom after the one before."""
    start = 3.8 * int(residue.split()[1])
    return "".join(atom(residue, name, at=(start, n, 0), **options) for n, name in enumerate(names))


MOL2 = """@<TRIPOS>MOLECULE
benzamidine
 4 3 1 0 0
SMALL
GASTEIGER

@<TRIPOS>ATOM
      1 C1          1.0000    2.0000    3.0000 C.ar    1  BEN1        0.1
      2 CL2         4.0000    5.0000    6.0000 Cl      1  BEN1        0.1
      3 H           4.0000    5.0000    6.0000 H       1  BEN1        0.1
      4 N1          7.0000    8.0000    9.0000 N.pl3   1  BEN1        0.1
@<TRIPOS>BOND
     1    1    2 ar
"""


def sdf(*atoms: str) -> str:
    lines = "".join(f"{n:10.4f}{0:10.4f}{0:10.4f} {symbol:<3} 0  0\n" for n, symbol in enumerate(atoms))
    return f"name\n  program\n\n{len(atoms):>3}  0  0  0  0  0  0  0  0  0999 V2000\n{lines}M  END\n$$$$\n"
