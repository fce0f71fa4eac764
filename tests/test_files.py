"""Files are complete or not there, whoever writes them and whatever breaks."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from jaxalign import files
from tests.full_disk import limited


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": [1, "ü"]})
    assert path.read_text() == '{\n "a": [\n  1,\n  "\\u00fc"\n ]\n}\n'
    files.write_text(str(path), "ü\n", sync=False)
    assert path.read_bytes() == "ü\n".encode()
    with files.replaced(path) as file:
        file.write(b"half")
        assert path.read_bytes() == "ü\n".encode() and file.name.startswith(f"{path}.part-")
    assert path.read_bytes() == b"half" and list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_they_may_read_any_file(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(tmp_path, error):
    files.write_text(tmp_path / "a", "before")
    with pytest.raises(error), files.replaced(tmp_path / "a") as file:
        file.write(b"half")
        raise error
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_explained(tmp_path):
    files.write_text(tmp_path / "a", "before")
    with limited(100), pytest.raises(OSError, match="could not write .*/a: .*too large.*Free space, then start the sa"):
        files.write_text(tmp_path / "a", "x" * 101)
    assert (tmp_path / "a").read_text() == "before" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OSError, match="could not write .*/none/a: .*No such file.*Correct the path"):
        files.write_text(tmp_path / "none" / "a", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="could not write .*/folder: .*Is a directory"):
        files.write_text(tmp_path / "folder", "")
    assert len(list(tmp_path.iterdir())) == 2


def test_many_writers_at_once(tmp_path):
    """Each reading sees the text of one of them, complete."""
    texts = [str(number) * 50_000 for number in range(4)]
    program = "import sys; from jaxalign import files\nfor _ in range(50): files.write_text(*sys.argv[1:], sync=False)"
    path = tmp_path / "a"
    path.write_text(texts[0])
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), text]) for text in texts[:2]]

    def write(text):
        for _ in range(50):
            files.write_text(path, text, sync=False)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts[2:]]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        assert path.read_text() in texts
    assert [process.wait() for process in processes] == [0, 0]
    assert path.read_text() in texts and list(tmp_path.iterdir()) == [path]


def test_what_a_kill_leaves_is_removed(tmp_path):
    program = "import os, sys\nfrom jaxalign import files\nwith files.replaced(sys.argv[1]) as file: os._exit(9)"
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], check=False).returncode == 9
    (tmp_path / "b").write_text("kept")
    assert len(list(tmp_path.iterdir())) == 2 and not (tmp_path / "a").exists()
    files.remove_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_explanation_promises_what_the_command_does():
    with pytest.raises(OSError, match="^could not write a line to b: no. Free space, then .* again: it continues$"):
        with files.explained("a line to b", "it continues"):
            raise OSError("no")
