"""The worlds that reward model experiments run in."""

import pathlib
from typing import Literal

from experiments.common.rewards import real_lists, sequence_world
from experiments.common.rewards.task import RewardTask


def make_task(
    name: Literal["sequences", "alpacaeval"],
    folder: pathlib.Path | None,
    work: pathlib.Path,
    *,
    seed: int,
    backbone: str,
    vocab_size: int,
    limits: tuple[int, int],
    num_pairs: int,
    as_chat: bool = False,
) -> RewardTask:
    """Makes the world of that name.

    Args:
      name: a world made on the spot, or lists from files.
      folder: alpacaeval: the lists.
      work: alpacaeval: keeps the tokenizer that is trained when there is no backbone to take one from.
      seed: of the world that is made, and of the draw of pairs.
      backbone: a Hugging Face directory or hub id, or empty for a decoder from scratch.
      vocab_size: alpacaeval: tokens of the tokenizer that is trained.
      limits: tokens of a prompt and of a response, for demonstrations.
      num_pairs: of training.
      as_chat: alpacaeval: prompts that are texts become a user's message, in the backbone's chat template.

    Raises:
      ValueError: if the sequence world, which has a tokenizer of its own, is asked for with a pretrained backbone.
    """
    sizes = {"limits": limits, "num_pairs": num_pairs}
    if name == "alpacaeval":
        return real_lists.make_task(
            folder, work, seed=seed, model=backbone, vocab_size=vocab_size, as_chat=as_chat, **sizes
        )
    if backbone:
        raise ValueError(f"the sequence world has its own tokenizer; --backbone {backbone} needs alpacaeval")
    return sequence_world.make_task(seed=seed, **sizes)
