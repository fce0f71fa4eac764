"""Policies as the store keeps them: bytes that say for which models and which embedder they learnt."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jaxalign import serving
from jaxalign.io import versions
from jaxalign.serving import Policy

INITIAL = "initial"
"""The version of the policy that has learnt nothing, which no store keeps."""


class Ground(NamedTuple):
    """What a policy's numbers belong to: with others they would mean something else."""

    models: tuple[str, ...]  # names, in their order
    embedder: str
    width: int


@functools.lru_cache(maxsize=1)
def first_policy(ground: Ground) -> Policy:
    """Returns the policy that has learnt nothing, the same in every process.

    Args:
      ground: models and embedder.
    """
    return serving.init_policy(jax.random.key(0), ground.width, len(ground.models))


def pack_policy(policy: Policy, ground: Ground, note: Mapping[str, Any]) -> tuple[str, bytes]:
    """Returns a policy's version and its bytes.

    Args:
      policy: what was learnt.
      ground: models and embedder.
      note: what to remember with it, as JSON.
    """
    return versions.pack_state(policy, note={**note, "models": list(ground.models), "embedder": ground.embedder})


def unpack_policy(data: bytes, version: str, like: Policy, ground: Ground) -> tuple[Policy, Mapping[str, Any]]:
    """Returns the policy in bytes, and its note.

    Args:
      data: the bytes.
      version: their version; a suffix behind "-" says that it was saved again.
      like: a policy of the same form.
      ground: models and embedder.

    Raises:
      ValueError: they are damaged, or of other models or of another embedder.
    """
    policy, note = versions.unpack_state(data, like, version.partition("-")[0], where=f"policy {version}")
    _same(version, "models", list(ground.models), note.get("models"))
    _same(version, "embedder", ground.embedder, note.get("embedder"))
    return policy, note


def _same(version: str, what: str, here: Sequence[str] | str, there: Any) -> None:
    if here != there:
        raise ValueError(
            f"policy {version} was learnt with {what} {there}, here there are {here}: it is not used, and a new one is "
            "learnt. Set the settings back to use it again"
        )
