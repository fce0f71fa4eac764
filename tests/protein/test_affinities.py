import math

import pytest

from jaxalign import protein

PLAIN = """# ==============================================================================
# List of the protein-protein complexes with known binding data in PDBbind v.2020
# ==============================================================================
1a22  2.60  1998  Kd=0.34nM    // 1a22.pdf (hGHR)
1AHW  3.00  1999  Ki<3.4nM     // 1ahw.pdf (Fab 5G9) incomplete residue
2abc   NMR  2001  IC50~12.5uM  // 2abc.pdf
3abc  1.90  2005  Kd>=1.5mM    // 3abc.pdf

4abc  1.90  2005  Kd=20fM      // 4abc.pdf
"""
DATA = """# PDB code, resolution, release year, -logKd/Ki, Kd/Ki, reference, ligand name
2tpi  2.10  1982   4.31  Kd=49uM       // 2tpi.pdf (2-mer)
3dau  1.50  2009   7.92  Ki<=12nM      // 3dau.pdf (MTX)
5tmn  1.60  1987   8.04  // 5tmn.pdf (0PJ)
"""


@pytest.fixture
def index(tmp_path):
    def write(text):
        path = tmp_path / "INDEX"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "text, value, exact",
    [
        ("Kd=1M", 0, True),
        ("Kd=1mM", 3, True),
        ("Ki=10uM", 5, True),
        ("IC50=49nM", 9 - math.log10(49), True),
        ("Kd=0.5pM", 12 - math.log10(0.5), True),
        ("Kd=2e3fM", 15 - math.log10(2000), True),
        ("Kd<10nM", 8, False),
        ("Kd>10nM", 8, False),
        ("Kd~10nM", 8, False),
        ("Kd<=10nM", 8, False),
        ("Kd>=10nM", 8, False),
    ],
)
def test_units_and_relations(text, value, exact):
    found = protein.parse_affinity(text)
    assert found.value == pytest.approx(value, abs=1e-8) and found.exact is exact


@pytest.mark.parametrize(
    "text", ["Kd=49", "Kd=uM", "Kx=1nM", "Kd=1kM", "Kd=0nM", "Kd=1.2.3nM", "Kd=-1nM", "Kd=1nm", ""]
)
def test_what_is_no_affinity(text):
    with pytest.raises(ValueError, match="expected"):
        protein.parse_affinity(text)


def test_plain_form(index):
    found = protein.read_affinities(index(PLAIN))
    assert {code: round(affinity.value, 3) for code, affinity in found.affinities.items()} == {
        "1a22": 9.469,
        "1ahw": 8.469,
        "2abc": 4.903,
        "3abc": 2.824,
        "4abc": 13.699,
    }
    assert [code for code, affinity in found.affinities.items() if not affinity.exact] == ["1ahw", "2abc", "3abc"]
    assert (found.inexact, found.dropped, found.problems) == (3, (), ())


def test_data_form_takes_the_number(index):
    found = protein.read_affinities(index(DATA))
    assert found.affinities == {"2tpi": (4.31, True), "3dau": (7.92, False), "5tmn": (8.04, True)}


def test_inexact_ones_can_be_dropped(index):
    found = protein.read_affinities(index(PLAIN), drop_inexact=True)
    assert sorted(found.affinities) == ["1a22", "4abc"]
    assert (found.inexact, found.dropped) == (3, ("1ahw", "2abc", "3abc"))


@pytest.mark.parametrize(
    "line, message",
    [
        ("9abc  1.0  2000  Kd=49", "got 'Kd=49'"),
        ("9abc  1.0  2000  Kd=49XM", "got 'Kd=49XM'"),
        ("9abc  1.0  2000  nan", "expected pK as a number"),
        ("9abc  1.0  2000  5.0 Kd:1nM", "got 'Kd:1nM'"),
        ("9abc  1.0  2000", "got 3 fields"),
        ("9abc  1.0  Kd=49uM  2000", "expected a year in the third field, got 'Kd=49uM'"),
        ("9ab  1.0  2000  5.0", "expected a PDB code such as 1f4e"),
        ("9abc-A  1.0  2000  5.0", "expected a PDB code, got '9abc-A'"),
        ("1A22  1.0  2000  5.0", "1a22 has 5.0 here and 9.46"),
    ],
)
def test_bad_lines(index, line, message):
    path = index(PLAIN + line + " // x.pdf\n")
    with pytest.raises(ValueError, match=f"INDEX, line 10: .*{message}.*skip bad rows"):
        protein.read_affinities(path)
    found = protein.read_affinities(path, skip_bad_rows=True)
    assert len(found.affinities) == 5 and found.problems[0].startswith("line 10: ")


def test_nothing_to_read(index):
    with pytest.raises(ValueError, match="no usable line"):
        protein.read_affinities(index("# nothing\n"))
    with pytest.raises(ValueError, match="no usable line; the first problem: line 1"):
        protein.read_affinities(index("what\n"), skip_bad_rows=True)
