"""The layers of pyproject.toml hold, the checker sees violations, and no subpackage escapes it."""

import re
import shutil
import tomllib

import pytest

from tests.architecture import subprocesses

CHECK = ("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir='cache'))")
# A file, and what it must not import.
VIOLATIONS = {
    "tools/planted.py": "experiments.common.stages",
    "jaxalign/metrics/planted.py": "jaxalign.losses.common",
    "jaxalign/losses/planted.py": "jaxalign.models",
    "jaxalign/models/planted.py": "jaxalign.training",
    "jaxalign/data/text/planted.py": "jaxalign.io.run.writers",
    "jaxalign/data/records/planted.py": "jaxalign.data.readers.files",
    "jaxalign/data/readers/planted.py": "jaxalign.data.text.turns",
    "jaxalign/data/batches/planted.py": "jaxalign.data.labelling.scoring",
    "jaxalign/prompting/planted.py": "jaxalign.data.records.record",
    "jaxalign/io/jobs/planted.py": "experiments",
    "jaxalign/io/run/planted.py": "jaxalign.io.jobs",
    "jaxalign/io/hf/planted.py": "jaxalign.io.cluster",
    "experiments/common/planted.py": "experiments.plad",
    "experiments/judge/planted.py": "experiments.ease",
}


@pytest.fixture
def copy(tmp_path):
    """The code and the contracts, to be spoilt."""
    for folder in "jaxalign", "experiments", "tools":
        shutil.copytree(subprocesses.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(subprocesses.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_layers_hold(copy):
    result = subprocesses.run(*CHECK, cwd=copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", result.stdout)


def test_violations_are_caught(copy):
    for path, imported in VIOLATIONS.items():
        (copy / path).write_text(f"import {imported}\n")
    result = subprocesses.run(*CHECK, cwd=copy)
    assert result.returncode == 1
    for path, imported in VIOLATIONS.items():
        importer = path.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {imported}" in " ".join(result.stdout.split())


def test_every_part_has_a_layer():
    contracts = tomllib.loads((subprocesses.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = set(re.findall(r"jaxalign\.(\w+)", " ".join(contracts[0]["layers"])))
    folder = subprocesses.ROOT / "jaxalign"
    parts = {path.parent.name for path in folder.glob("*/__init__.py")} | {path.stem for path in folder.glob("*.py")}
    assert parts - {"__init__"} <= layered
