"""The worlds that distillation runs in."""

import pathlib
from typing import TYPE_CHECKING

from jaxtyping import Array

from experiments.common import stages
from experiments.plad import file_world, sequence_world
from experiments.plad.world import World

if TYPE_CHECKING:
    from experiments.plad.__main__ import Config


def make_world(config: "Config", seed: int, directory: pathlib.Path, key: Array) -> World:
    """Makes the world that ``config.task`` names; ``directory`` keeps what is trained or sampled for it."""
    if config.task == "files":
        world = file_world.make_world(config, directory, key)
    else:
        world = sequence_world.make_world(
            config.task,
            seed,
            directory,
            key,
            num_prompts=config.num_prompts,
            size=config.size,
            teacher_size=config.teacher_size,
            teacher_errors=config.teacher_errors,
            imitation_steps=config.imitation_steps,
        )
    return world._replace(student=stages.computing(world.student, config.computing))
