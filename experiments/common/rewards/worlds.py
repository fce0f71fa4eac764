"""The worlds that reward model experiments run in."""

from experiments.common.rewards import real_lists, sequence_world
from experiments.common.rewards.task import RewardTask


def make_task(config, seed: int) -> RewardTask:
    """Makes the world that ``config.task`` names.

    Raises:
      ValueError: if the sequence world, which has a tokenizer of its own, is asked for with a pretrained backbone.
    """
    if config.task == "alpacaeval":
        return real_lists.make_task(config, seed)
    if config.backbone:
        raise ValueError(f"the sequence world has its own tokenizer; --backbone {config.backbone} needs alpacaeval")
    return sequence_world.make_task(config, seed)
