"""Numbers that are none, lines and columns beside the standard, and real files as other programs write them."""

import gzip

import numpy as np
import pytest

from jaxalign.protein import StructureReport
from jaxalign.protein.vocabulary import element_class
from tests.protein.lines import BACKBONE, WRITE, atom, atoms, bcif, chain, cif, cif_rows, moved, put

C, N, O, S = (element_class(symbol) for symbol in "CNOS")
every_format = pytest.mark.parametrize("suffix", WRITE)


# Bytes and columns


@every_format
@pytest.mark.parametrize("change", ["mark", "returns", "both line ends", "gzip"])
def test_ways_to_write_the_same_file(read, suffix, change):
    text = WRITE[suffix](chain(3, "A"))
    data = text if isinstance(text, bytes) else text.encode()
    if change == "gzip":
        data = gzip.compress(data)
    elif suffix != "bcif":  # which is no text
        ends = {"mark": b"\n", "returns": b"\r", "both line ends": b"\r\n"}[change]
        data = (b"\xef\xbb\xbf" if change == "mark" else b"") + data.replace(b"\n", ends)
    assert read(data, f"x.{suffix}").names == ("A/ALA 1", "A/GLY 2", "A/SER 3")


BAD_NUMBERS = (
    "********",
    "        ",
    "   1,400",
    "     nan",
    "    -inf",
    " 1 2.000",
    "9999.999",
    "  1.2.3 ",
    "0x1.8   ",
)


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_coordinate_that_is_none_is_told(read, value, axis):
    text = atoms("GLY 7") + put(atom("ALA 8", "N"), 30 + 8 * axis, value)
    expected = f"line 5: expected a coordinate in columns {31 + 8 * axis}-{38 + 8 * axis}, got '{value}'. Correct"
    with pytest.raises(ValueError) as error:
        read(text)
    assert expected in str(error.value) and str(error.value).startswith(str(read.path))


@pytest.mark.parametrize("value", ["?", ".", "********", "1,400", "nan", "inf", "9999.0", "1.2.3"])
@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("write", [cif, bcif])
def test_a_coordinate_that_is_none_is_told_in_mmcif(read, value, axis, write):
    rows = cif_rows(chain(2, "A"))
    rows[5][f"Cartn_{axis}"] = value
    with pytest.raises(
        ValueError, match=f"row 6 of atom_site, id 6: expected a coordinate in Cartn_{axis}, got"
    ) as error:
        read(write(rows), f"x.{write.__name__}")
    assert repr(value) in str(error.value)


def test_numbers_of_what_is_left_out_may_be_anything(read):
    water = put(put(atom("SOL 9", "OW", element="O", record="HETATM"), 30, "********"), 22, "****")
    structure = read(atoms("ALA 1") + put(atom("ALA 1", "H"), 30, "********") + "TER\n" + water)
    assert structure.channel_mask.sum() == 4 and structure.report == StructureReport(waters=1, hydrogens=1)


@pytest.mark.parametrize(
    "text, message",
    [
        (put(atoms("ALA 1"), 22, "****"), r"line 1: expected a residue's number in columns 23-26, got '\*\*\*\*'"),
        (put(atoms("ALA 1"), 22, " 1x "), "line 1: expected a residue's number in columns 23-26, got ' 1x '"),
        (put(atoms("ALA 1"), 22, "    "), "line 1: expected a residue's number in columns 23-26, got '    '"),
        (atoms("ALA 1") + " " + atoms("GLY 2"), "line 5: expected ATOM or HETATM in the first column"),
        (atoms("ALA 1")[:-31], "line 4: the line is too short: expected 54 columns, got"),
        ("MODEL        1\n" + atoms("ALA 1"), "expected ENDMDL behind the first MODEL, got the end of the file"),
        (
            put(atoms("ALA 1", alt="A"), 54, " *****"),
            r"line 1: expected an occupancy in columns 55-60, got ' \*\*\*\*\*'",
        ),
        (atoms("ALA 1").replace("   ", "\t"), "line 1: "),
        (atoms("ALA 1") + "\0\0", "expected text, got bytes of 0"),
        ("".join(atom("ALA 1", name) for name in BACKBONE), "expected atoms in space, got 4 in one place"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_told(read, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text)
    assert str(error.value).startswith(str(read.path))


def test_numbers_beyond_the_columns(read):
    text = "".join(
        put(atoms(f"{name} {n}"), 22, number)
        for n, (name, number) in enumerate((("ALA", "9999"), ("GLY", "A000"), ("SER", "A001")))
    )
    assert read(text).names == ("A/ALA 9999", "A/GLY 10000", "A/SER 10001")
    serials = "".join(
        line[:6] + f"{n:>6}" + line[11:] for n, line in enumerate(chain(2, "A").splitlines(True), 100_000)
    )
    assert read(serials).names == ("A/ALA 1", "A/GLY 2")
    assert read(put(chain(2, "A"), 6, "*****")).names == ("A/ALA 1", "A/GLY 2")


def test_old_files_with_numbers_of_lines(read):
    lines = chain(2, "A").splitlines()
    structure = read("".join(f"{line[:72]}1CRN{n:>4}\n" for n, line in enumerate(lines, 998)))
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(elements=8)


@pytest.mark.parametrize("start, kind", [(b"PK\x03\x04", "zip"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz")])
def test_other_packings_are_named(read, start, kind):
    with pytest.raises(ValueError, match=f"got a {kind} file. Unpack it"):
        read(start + b"x" * 50)


@pytest.mark.parametrize("write", [cif, bcif])
@pytest.mark.parametrize(
    "dropped",
    [
        ("auth_seq_id", "auth_comp_id", "auth_asym_id"),
        ("label_alt_id", "occupancy", "pdbx_PDB_ins_code", "pdbx_PDB_model_num"),
        ("group_PDB", "id", "type_symbol"),
        ("label_comp_id", "label_asym_id"),
    ],
)
def test_columns_that_a_table_lacks(read, write, dropped):
    rows = [{k: v for k, v in row.items() if k not in dropped} for row in cif_rows(chain(2, "A"))]
    for n, row in enumerate(rows):
        row["label_seq_id"] = str(1 + n // 4)
    structure = read(write(rows), f"x.{write.__name__}")
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.elements[0, :4].tolist() == [N, C, C, O]


def test_models_and_blocks_of_mmcif(read):
    rows = cif_rows(chain(2, "A"))
    other = cif_rows(moved(chain(2, "A"), 9), pdbx_PDB_model_num="2")
    between = [row for pair in zip(rows, other, strict=True) for row in pair]
    for text in cif(rows + other), cif(between), cif(rows) + cif(other).replace("data_x", "data_y"):
        structure = read(text, "x.cif")
        assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(models=1)
        assert structure.channel_mask.sum() == 8 and not structure.coordinates[..., 2].any()
    assert read("data_first\n_x.y 1\n" + cif(rows), "x.cif").report == StructureReport()


# Real files, written otherwise


def variants(lines):
    """The atoms of a file as other programs write them."""
    atoms_of = lambda change: "".join(  # noqa: E731
        change(line) if line.startswith(("ATOM", "HETATM")) else line for line in lines
    )
    yield "no elements", atoms_of(lambda line: line[:76].rstrip() + "\n")
    yield (
        "names to the left, no elements",
        atoms_of(lambda line: f"{line[:12]}{line[12:16].strip():<4}{line[16:76].rstrip()}\n"),
    )
    yield "one letter", atoms_of(lambda line: f"{line[:21]}A{line[22:]}")
    yield "no letters", atoms_of(lambda line: f"{line[:21]} {line[22:]}")
    yield "segments", atoms_of(lambda line: f"{line[:21]}A{line[22:72]}SEG{line[21]}{line[76:]}")
    yield "twice", "".join(line for line in lines if line.startswith(("ATOM", "HETATM"))) * 2
    yield "no TER", "".join(line for line in lines if not line.startswith("TER"))
    yield "waters of GROMACS", atoms_of(lambda line: line.replace("HOH", "SOL"))
    yield "numbers of lines", atoms_of(lambda line: f"{line[:72]}1XXX{len(line):>4}\n")


def first_residues(lines, count):
    """The file with at most ``count`` residues of each chain."""
    seen = {}
    for line in lines:
        if line.startswith("ATOM"):
            residues = seen.setdefault(line[21], [])
            if line[22:27] not in residues:
                residues.append(line[22:27])
            if len(residues) > count:
                continue
        yield line


@pytest.mark.parametrize("name", ["1dix.pdb", "1nca.pdb", "4hhh_frag.pdb", "3o5r.pdb"])
def test_real_files_written_otherwise_are_the_same(read, folder, name):
    lines = list(first_residues((folder / name).read_text().splitlines(True), 60))
    expected = read("".join(lines))
    for what, text in variants(lines):
        structure = read(text)
        for field in "coordinates", "elements", "channel_mask", "types", "chains", "alphas":
            np.testing.assert_array_equal(getattr(structure, field), getattr(expected, field), err_msg=what)
