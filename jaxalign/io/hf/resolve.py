"""A model argument: a directory, or the id of a repository on the Hugging Face hub."""

import pathlib
import re

from jaxalign.data.text import tokenizer_files

FILES = [
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "class_matching.safetensors",  # these two beside the encoder of a hierarchical classifier
    "taxonomy.json",
    *tokenizer_files.FILES,
]
"""Patterns of what is fetched."""


def resolve(directory_or_hub_id: str | pathlib.Path) -> pathlib.Path:
    """Returns a local directory for a model argument: itself, or a copy of the hub's repository.

    The repository is downloaded unless it is in the hub's cache.
    Only safetensors, configs and tokenizer files are fetched. Private and gated models need a token, which
    huggingface_hub takes from the environment (``HF_TOKEN``) or from its login.

    Args:
      directory_or_hub_id: an existing directory, or an id such as ``"Qwen/Qwen3-0.6B"``.

    Raises:
      FileNotFoundError: it is neither; the message says what to pass instead.
    """
    directory = pathlib.Path(directory_or_hub_id)
    if directory.is_dir():
        return directory
    name = str(directory_or_hub_id)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise FileNotFoundError(f"directory {name!r} does not exist; pass a model's or a hub id like 'Qwen/Qwen3-0.6B'")
    return _download(name)


def _download(hub_id):
    import huggingface_hub  # half a second that a directory does not cost

    try:
        return pathlib.Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=FILES))
    # Offline, unknown, gated and interrupted are errors of several libraries, all of them OSError, and ValueError for
    # a malformed id.
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise FileNotFoundError(
            f"{hub_id!r} is neither a directory here nor a model that the Hugging Face hub could give "
            f"({reason}). Without access to the hub, pass a directory that "
            f"holds config.json and *.safetensors, for instance one that `hf download {hub_id} --local-dir DIRECTORY` "
            f"made on a machine with access; for a gated model, set HF_TOKEN"
        ) from error
