"""The worlds that distillation runs in."""

import pathlib

from jaxtyping import Array

from experiments.plad import file_world, sequence_world
from experiments.plad.world import World

MAKE = {"sequences": sequence_world.make_world, "files": file_world.make_world}


def make_world(config, seed: int, directory: pathlib.Path, key: Array) -> World:
    """Makes the world that ``config.task`` names; ``directory`` keeps what is trained or sampled for it."""
    return MAKE[config.task](config, seed, directory, key)
