"""Where structures come from."""

import pytest

from jaxalign import protein
from jaxalign.protein import ProteinNetwork  # noqa: F401 - e3nn is loaded before a test changes JAX's settings
from tests.protein import files


@pytest.fixture
def folder(shared_data):
    return shared_data / "proteins" / "structures"


@pytest.fixture
def read(tmp_path):
    """Reads a text as a file of that name, and shows what it wrote to ``read.path``."""

    def read_text(text, name="x.pdb", **options):
        read_text.path = tmp_path / name
        read_text.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return protein.read_structure(read_text.path, **options)

    return read_text


@pytest.fixture
def inputs(tmp_path):
    return files.write_inputs(tmp_path)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Names of the structures that were read, in order."""
    path = tmp_path / "log"
    monkeypatch.setenv("JAXALIGN_TEST_LOG", str(path))
    return lambda: path.read_text().split() if path.exists() else []
