"""Lines are complete or not there; what a kill or a full disk leaves is passed over, and removed by the next writer."""

import pytest

from jaxalign.io import line_file
from tests.full_disk import limited

LINES = [b'{"n": 0}\n', b'{"n": 1}\n', b'{"n": 2}\n']


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


@pytest.mark.parametrize("cut", range(28))
def test_a_cut_at_any_byte(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    complete = cut // 9
    assert line_file.read_rows(path) == [{"n": n} for n in range(complete)]
    assert path.stat().st_size == cut  # reading changes nothing
    with line_file.Writer(path) as file:
        for n in range(complete, 3):
            file.append(f'{{"n": {n}}}')
    assert path.read_bytes() == b"".join(LINES)


def test_a_cut_line_that_is_longer_than_a_block(path, monkeypatch):
    monkeypatch.setattr(line_file, "_BLOCK", 4)
    path.write_bytes(LINES[0] + b"x" * 101)
    line_file.Writer(path).close()
    assert path.read_bytes() == LINES[0]
    path.write_bytes(b"x" * 101)
    line_file.Writer(path).close()
    assert path.read_bytes() == b""


def test_reading_goes_on_where_it_ended(path):
    (first, place), *_ = line_file.read_on(path)
    assert (first, place) == ({"n": 0}, (1, 9))
    assert list(line_file.read_on(path, lambda row: row["n"], after=place)) == [(1, (2, 18)), (2, (3, 27))]


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"{ruined\n", "JSONDecodeError: Expecting"), (b"\n", "JSONDecodeError"), (b'{"m": 1}\n', "KeyError: 'n'")],
)
def test_a_damaged_line_is_named(path, line, message):
    path.write_bytes(LINES[0] + line + LINES[2])
    with pytest.raises(ValueError, match=rf"a\.jsonl, line 2: not a number \({message}.*\); remove the line"):
        line_file.read_rows(path, lambda row: row["n"], what="a number")


def test_nothing_is_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        line_file.read_rows(tmp_path / "a.jsonl")
    with line_file.Writer(tmp_path / "a.jsonl"):
        assert (tmp_path / "a.jsonl").read_bytes() == b""


@pytest.mark.parametrize("room", range(0, 9, 4))
def test_a_full_disk_takes_no_part_of_a_line(path, room):
    with line_file.Writer(path, promise="it goes on") as file:
        with limited(27 + room), pytest.raises(OSError, match="write line 3 to .*a.jsonl: .*too large.*: it goes on$"):
            file.append('{"n": 3}', "line 3")
        assert path.read_bytes() == b"".join(LINES)
        file.append('{"n": 3}')
    assert len(line_file.read_rows(path)) == 4
