"""Which tokens begin, end and fill a model's texts, by its generation_config.json and config.json."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxalign.data.text.tokenizer_files import digest_files
from jaxalign.io.hf.config import TOKEN_IDS, stated_keys
from jaxalign.io.hf.heads import is_classifier
from jaxalign.io.hf.json_files import read_json
from jaxalign.models import (
    EncoderDecoderConfig,
    HeadConfig,
    LanguageModelConfig,
    ModelConfig,
    Origin,
    backbone_config,
)


def end_ids(directory: str | pathlib.Path) -> list[int]:
    """Returns the ids of the tokens that end a text of a model, such as a chat model's end of turn.

    generation_config.json names them, or else config.json, as in transformers; where neither does, there are none.

    Args:
      directory: a model's directory.

    Raises:
      ValueError: one of the files is damaged, or names something other than ids.
    """
    directory = pathlib.Path(directory)
    for keys in (read_json(directory / name) or {} for name in ("generation_config.json", "config.json")):
        for part in (keys, keys.get("decoder"), keys.get("text_config")):
            if isinstance(part, Mapping) and part.get("eos_token_id") is not None:
                return as_list(part["eos_token_id"], f"eos_token_id of the model in {directory}")
    return []


def as_list(stated: Any, place: str) -> list[int]:
    """One id or several, as several.

    Raises:
      ValueError: ``stated`` is something else.
    """
    ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in ids):
        raise ValueError(f"{place} = {stated!r}; expected an id or a list of ids")
    return ids


def changed_ids(config: ModelConfig, stated: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """What an export says of token ids otherwise than ``stated``, its config.json.

    A model that comes with its own tokenizer, or with none, keeps what it said.
    """
    network, was_classifier = backbone_config(config), is_classifier(stated_keys(config))
    origin = network.origin
    if origin is None:
        changed = {name: _own(tokenizer, name) for name in TOKEN_IDS}
    else:
        changed = {} if _came_with(origin, tokenizer) else _fitted(stated, tokenizer)
    if isinstance(config, HeadConfig) and (changed or not was_classifier):
        ends = as_list(changed.get("eos_token_id", stated.get("eos_token_id")), "eos_token_id")
        pad = changed.get("pad_token_id", stated.get("pad_token_id"))
        pad = _own(tokenizer, "pad_token_id") if pad is None else pad
        # transformers reads a decoder's score at the last token that is not padding: at the one before the end of
        # sequence, if that is padding too. With no such id it scores one row at a time and refuses more.
        changed["pad_token_id"] = None if pad in ends else pad
    if isinstance(network, EncoderDecoderConfig) and "pad_token_id" in changed:
        changed["decoder_start_token_id"] = network.start_id  # or it would be read as the padding
    return changed


def generation_keys(config: ModelConfig, tokenizer: Any) -> dict[str, Any] | None:
    """An export's generation_config.json; None where there is none, so that transformers looks into config.json."""
    network = backbone_config(config)
    start = {"decoder_start_token_id": network.start_id} if isinstance(network, EncoderDecoderConfig) else {}
    if network.origin is None:
        ids = {name: _own(tokenizer, name) for name in TOKEN_IDS}
        return ids | start if isinstance(config, LanguageModelConfig) else None
    if network.origin.generation is None:
        return None
    stated = json.loads(network.origin.generation)
    changed = {} if _came_with(network.origin, tokenizer) else _fitted(stated, tokenizer)
    return stated | changed | {name: start[name] for name in start.keys() & stated.keys()}


def _came_with(origin: Origin, tokenizer: Any) -> bool:
    files = getattr(tokenizer, "files", None)
    return tokenizer is None or bool(files) and digest_files(files) == origin.tokenizer


def _fitted(stated: Mapping[str, Any], tokenizer: Any) -> dict[str, int]:
    """What must be changed for texts of ``tokenizer``: a list that names its token among others stays as it is."""
    own = {name: _own(tokenizer, name) for name in TOKEN_IDS}
    return {
        name: token for name, token in own.items() if token is not None and token not in as_list(stated.get(name), name)
    }


def _own(tokenizer: Any, name: str) -> int | None:
    return getattr(tokenizer, f"{name.removesuffix('_token_id')}_id", None)
