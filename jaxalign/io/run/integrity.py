"""A manifest of a directory: the size and SHA-256 of each file, so that damage of any kind is noticed before reading.

Array stores notice some damage by themselves and read other damage as if it were data; a manifest does not depend on
which file was hit, and it holds a SHA-256 of itself.
"""

import hashlib
import json
import pathlib
from collections.abc import Collection

MANIFEST = "manifest.json"


def write_manifest(directory: pathlib.Path, *, ignore: Collection[str] = ()):
    """Writes ``manifest.json``: size and SHA-256 of every file in a folder and the folders in it.

    Args:
      directory: the folder.
      ignore: names of files that are left out.
    """
    files = {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, *ignore)
    }
    (directory / MANIFEST).write_text(json.dumps({"sha256": _digest_text(files), "files": files}, indent=1))


def find_damage(directory: pathlib.Path) -> str | None:
    """Returns what is wrong with the first file that differs from the manifest; None when all is as it was written.

    Args:
      directory: the folder with the manifest.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        files = manifest["files"]
        intact = manifest["sha256"] == _digest_text(files)
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        return f"{MANIFEST} is not as it was written"
    for name, expected in files.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {expected['bytes']}"
        if _digest(path) != expected["sha256"]:
            return f"{name} has other contents than were written"
    return None


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_text(files: dict) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
