"""Serving the traffic by every method, each kept in a file, so that the same command does nothing again."""

import functools
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from experiments.echolm import held_out
from experiments.echolm.learner import Dials
from experiments.echolm.methods import ECHOLM, METHODS
from experiments.echolm.simulate import Ground, Served, Simulation
from jaxalign import files


def serve(names: Iterable[str], ground: Ground, dials: Dials, seed: int, directory: pathlib.Path) -> dict[str, Served]:
    """Returns what came of every method, in the order of METHODS.

    Args:
      names: of methods.
      ground: the world and its traffic.
      dials: of the policies.
      seed: of what methods draw.
      directory: where results are kept. Its run folder refuses other settings.
    """
    wanted = [name for name in METHODS if name in set(names)]
    return {name: _kept(name, ground, dials, seed, directory) for name in wanted}


def _kept(name: str, ground: Ground, dials: Dials, seed: int, directory: pathlib.Path) -> Served:
    path = directory / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.npz"
    if path.exists():
        with np.load(path) as arrays:
            return Served(**arrays)
    print(f"seed {seed}: {name}", flush=True)
    simulation = Simulation(METHODS[name], ground, dials, seed)
    if name == ECHOLM:
        keep = functools.partial(held_out.keep_policy, directory.parent, simulation.memory)
        served = simulation.run(keep)
        held_out.keep_store(directory.parent, simulation.memory)
    else:
        served = simulation.run()
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replaced(path) as file:
        np.savez_compressed(file, **served._asdict())
    return served
