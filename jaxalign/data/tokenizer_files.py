"""Finding the tokenizer in a model's directory, and telling two apart by their files."""

import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

import tokenizers

from jaxalign.data.spm import load_sentencepiece
from jaxalign.data.tokenizer import HfTokenizer, Tokenizer


def load_tokenizer(directory: str | os.PathLike) -> HfTokenizer:
    """The tokenizer in a model's directory: tokenizer.json, or else a SentencePiece model.

    Raises:
      FileNotFoundError: if the directory has neither.
    """
    directory = pathlib.Path(directory)
    config = _read_json(directory / "tokenizer_config.json")
    template = _chat_template(config.pop("chat_template", None), directory / "chat_template.jinja")
    if (directory / "tokenizer.json").exists():
        backend = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        backend.no_padding()
        backend.no_truncation()
        return HfTokenizer(backend, config, chat_template=template)
    for name in ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"):
        if (directory / name).exists():
            return load_sentencepiece(directory / name, config=config, chat_template=template)
    present = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else "no such directory"
    raise FileNotFoundError(f"expected tokenizer.json or a SentencePiece tokenizer.model in {directory}, got {present}")


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """A hash of the files that the tokenizer saves: vocabulary, merges, special tokens and chat template."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save(directory)
        for path in sorted(pathlib.Path(directory).iterdir()):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _chat_template(stated: str | list | None, file: pathlib.Path) -> str | None:
    if file.exists():
        return file.read_text(encoding="utf-8")
    if isinstance(stated, list):  # several by name, for instance one for tool use
        return {entry["name"]: entry["template"] for entry in stated}.get("default")
    return stated
