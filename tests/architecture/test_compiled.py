"""Compiled programs are kept whole, of this machine only, and not for ever (tests/compiled.py)."""

import os

import pytest

from tests import compiled


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return compiled.kept("--flags")


def test_a_process_has_all_that_is_kept_in_a_folder_of_its_own(kept):
    (kept / "one").write_text("first")
    with compiled.copy(kept) as own, compiled.copy(kept) as other:
        with open(os.path.join(own, "two"), "w") as half_written:
            half_written.write("sec")
            half_written.flush()
            assert sorted(os.listdir(own)) == ["one", "two"]
            assert os.listdir(other) == os.listdir(kept) == ["one"]
            half_written.write("ond")
        compiled.link(own, kept)
        with open(os.path.join(other, "two"), "w") as file:
            file.write("of another process")
        compiled.link(other, kept)
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"one": "first", "two": "second"}
    assert list(kept.parent.iterdir()) == [kept]


def test_other_flags_another_machine_or_another_jax_have_another_folder(kept, monkeypatch):
    assert compiled.kept("--flags") == kept
    folders = {kept, compiled.kept("--other-flags")}
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "features", lambda: ["flags: avx2"])
        folders.add(compiled.kept("--flags"))
    with monkeypatch.context() as patch:
        patch.setattr(compiled.importlib.metadata, "version", lambda name: "9.9.9")
        folders.add(compiled.kept("--flags"))
    assert len(folders) == 4
    assert compiled.features()


def test_above_the_limit_all_are_dropped(kept, monkeypatch):
    (kept / "one").write_bytes(bytes(100))
    monkeypatch.setattr(compiled, "LIMIT", 100)
    assert list(compiled.kept("--flags").iterdir()) == [kept / "one"]
    monkeypatch.setattr(compiled, "LIMIT", 99)
    assert list(compiled.kept("--flags").iterdir()) == []


def test_folders_of_killed_processes_go_after_a_day(kept):
    left, recent = kept.parent / "process-left", kept.parent / "process-recent"
    for folder in left, recent:
        folder.mkdir()
        (folder / "half").touch()
    os.utime(left, (0, 0))
    with compiled.copy(kept):
        assert not left.exists() and recent.exists()
