"""Tokens that stand beside a vocabulary: in tokenizer_config.json, special_tokens_map.json and added_tokens.json.

As in transformers 5: ``added_tokens_decoder`` in tokenizer_config.json is everything; without it the two older files
are read, of which special_tokens_map.json goes before tokenizer_config.json. Named and extra special tokens that none
of them lists are added behind the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers import AddedToken

NAMED = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
FLAGS = ("lstrip", "rstrip", "normalized", "single_word", "special")
DECODER, OLD_EXTRA, EXTRA = "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"


def with_special_map(config: Mapping[str, Any], special_map: Mapping[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json with what special_tokens_map.json says, if that counts."""
    return dict(config) if DECODER in config else {**config, **special_map}


def add_tokens(backend: tokenizers.Tokenizer, config: Mapping[str, Any], added: Mapping[str, int]) -> None:
    """Makes one id of each token that stands beside the vocabulary; ``backend`` is changed.

    Args:
      config: from :func:`with_special_map`.
      added: added_tokens.json.

    Raises:
      ValueError: a token is malformed, or would get another id than the one that is stated.
    """
    if DECODER in config:
        stated = {int(index): _token(token, f"{DECODER}[{index!r}]") for index, token in config[DECODER].items()}
    else:
        special = {content for content, _ in _special_tokens(config)}
        stated = {
            index: AddedToken(content, special=content in special, normalized=content not in special)
            for content, index in added.items()
        }
    there, new = backend.get_vocab(), _missing(backend, config, stated)
    if new:
        backend.add_tokens(new)
    for index, token in stated.items():
        if token.content not in there and (found := backend.token_to_id(token.content)) != index:
            raise ValueError(
                f"the added token {token.content!r} is stated to have id {index}, but the vocabulary of {len(there)} "
                f"and the other added tokens give it {found}; list the tokens in between too, or correct its id"
            )


def extra_tokens(config: Mapping[str, Any]) -> Sequence[Any]:
    """Special tokens that have no name."""
    extra = config.get(EXTRA) or config.get(OLD_EXTRA) or ()
    return () if isinstance(extra, Mapping) else extra


def _missing(backend, config, stated: Mapping[int, AddedToken]) -> list[AddedToken]:
    """What the vocabulary lacks, or has with other flags, in the order of ids; then special tokens in none of these."""
    there = {repr(token): token.content for token in backend.get_added_tokens_decoder().values()}
    named = {_content(value) for name, value in _named(config)}
    new = [token for _, token in sorted(stated.items(), key=lambda item: item[0]) if repr(token) not in there]
    for token in new:
        token.special = token.special or token.content in named
    known = {*there.values(), *(token.content for token in new)}
    for content, token in _special_tokens(config):
        if content not in known:
            known.add(content)
            new.append(token)
    return new


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Special tokens by name: the usual ones, then a model's own, such as ``image_token``."""
    own = [name for name in config if name.endswith("_token") and name not in NAMED]
    for name in (*NAMED, *own):
        if isinstance(config.get(name), str | Mapping):
            yield name, config[name]
    for option in (EXTRA, OLD_EXTRA):
        if isinstance(config.get(option), Mapping):
            yield from config[option].items()


def _special_tokens(config: Mapping[str, Any]) -> Iterator[tuple[str, AddedToken]]:
    """Every token that is special by its name or place, and its content."""
    places = [*_named(config), *((EXTRA, token) for token in extra_tokens(config))]
    for place, value in places:
        token = _token({"content": value} if isinstance(value, str) else value, place, special=True)
        yield token.content, token


def _content(value: Any) -> str:
    return value if isinstance(value, str) else value["content"]


def _token(value: Any, place: str, **flags: bool) -> AddedToken:
    if not isinstance(value, Mapping) or not isinstance(value.get("content"), str):
        raise ValueError(f"{place} is {value!r}; expected a token such as {{'content': '<x>'}}")
    stated = {name: value[name] for name in FLAGS if isinstance(value.get(name), bool)}
    return AddedToken(value["content"], **{**stated, **flags})
