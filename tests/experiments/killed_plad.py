"""A small run of experiments.plad that kills itself: ``killed_plad.py OUTPUT [PROGRESS STEP]``.

``PROGRESS`` is the beginning of the name of what is under way, a file of samples or the folder of a training.
"""

import dataclasses
import os
import pathlib
import signal
import sys

from experiments import plad
from experiments.common.distillation import sequence_world
from jaxalign.io import progress


def config(output: pathlib.Path) -> plad.Config:
    small = dict(size=(16, 1), teacher_size=(16, 1), num_prompts=24, warm_steps=2, steps=4, batch=8)
    return dataclasses.replace(plad.PRESETS["default"], methods=("PLaD ranking",), output=output, **small)


def run(output: pathlib.Path) -> dict[str, float]:
    sequence_world.NUM_TEST, sequence_world.DEMONSTRATIONS = 8, 64
    sequence_world.IMITATION = {"steps": 2, "batch": (8, 64), "learning_rate": 1e-3}
    return plad.main(config(output))


def kill_at(name: str, step: int) -> None:
    """At once, as the kernel or a scheduler does it, when the progress called ``name`` comes to ``step``."""
    update = progress.Progress.update

    def watched(self, done, *arguments):
        update(self, done, *arguments)
        if self._name.startswith(name) and done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    progress.Progress.update = watched


if __name__ == "__main__":
    if len(sys.argv) > 2:
        kill_at(sys.argv[2], int(sys.argv[3]))
    run(pathlib.Path(sys.argv[1]))
