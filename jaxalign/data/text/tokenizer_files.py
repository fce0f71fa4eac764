"""Finding the tokenizer in a model's directory, and telling two apart by their files."""

import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import tokenizers

from jaxalign.data.text.added_tokens import add_tokens, with_special_map
from jaxalign.data.text.spm import read_sentencepiece
from jaxalign.data.text.tokenizer import HfTokenizer, Tokenizer

MODELS = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""Names of SentencePiece models."""
FILES = (
    "tokenizer*",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*.jinja",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
"""Patterns of the files that a tokenizer is kept in."""


def load_tokenizer(directory: str | os.PathLike) -> HfTokenizer:
    """Loads the tokenizer in a model's directory: tokenizer.json, or else a SentencePiece model.

    Tokens of tokenizer_config.json, special_tokens_map.json and added_tokens.json are part of it. When it is saved, its
    files are written as they were, whatever else is in them.

    Args:
      directory: with the files of a Hugging Face model.

    Returns:
      The tokenizer.

    Raises:
      FileNotFoundError: if the directory has neither.
      ValueError: if a file is damaged, or states another id of a token than the vocabulary gives it.
    """
    directory = pathlib.Path(directory)
    files = read_tokenizer_files(directory)
    config = _json(directory, files, "tokenizer_config.json")
    templates = _chat_templates(config.pop("chat_template", None), files)
    config = with_special_map(config, _json(directory, files, "special_tokens_map.json"))
    added = _json(directory, files, "added_tokens.json")
    try:
        backend, config = _backend(directory, files, config)
        add_tokens(backend, config, added)
    except ValueError as error:
        raise ValueError(f"{directory}: {error}") from error
    return HfTokenizer(backend, config, **templates, files=files)


def read_tokenizer_files(directory: pathlib.Path) -> dict[str, bytes]:
    """The files of the tokenizer in ``directory`` by their paths in it."""
    found = {path for pattern in FILES for path in directory.glob(pattern) if path.is_file()}
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(found)}


def digest_files(files: Mapping[str, bytes]) -> str:
    """A hash of files and their names."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """Returns a hash of the files that a tokenizer saves: vocabulary, merges, special tokens and chat template.

    Args:
      tokenizer: what to tell from others.
    """
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save(directory)
        paths = [path for path in pathlib.Path(directory).rglob("*") if path.is_file()]
        return digest_files({path.relative_to(directory).as_posix(): path.read_bytes() for path in paths})


def _backend(
    directory: pathlib.Path, files: Mapping[str, bytes], config: dict[str, Any]
) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    if "tokenizer.json" in files:
        backend = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        backend.no_padding()
        backend.no_truncation()
        return backend, config
    for name in MODELS:
        if name in files:
            return read_sentencepiece(directory / name, config)
    present = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else "no such directory"
    raise FileNotFoundError(f"expected tokenizer.json or a SentencePiece tokenizer.model in {directory}, got {present}")


def _json(directory: pathlib.Path, files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        return {}
    try:
        read = json.loads(files[name].decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{directory / name} is not JSON ({error}); download or export it again") from error
    if not isinstance(read, dict):
        raise ValueError(f"{directory / name} holds a {type(read).__name__}; expected an object")
    return read


def _chat_templates(stated: str | list | None, files: Mapping[str, bytes]) -> dict[str, str | None]:
    """The template that is used, and the one for chats with tools, by what :class:`HfTokenizer` calls them."""
    if isinstance(stated, list):  # several by name
        named = {entry["name"]: entry["template"] for entry in stated}
    else:
        named = {"default": stated}
    for name, path in (("default", "chat_template.jinja"), ("tool_use", "additional_chat_templates/tool_use.jinja")):
        if path in files:
            named[name] = files[path].decode("utf-8")
    return {"chat_template": named.get("default"), "tool_template": named.get("tool_use")}
