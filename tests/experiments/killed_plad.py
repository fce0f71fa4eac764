"""Small runs of experiments.plad, which may be killed: ``killed_plad.py OUTPUT ... [--kill-at PROGRESS STEP]``.

``PROGRESS`` is the beginning of the name of what is under way, a file of samples or the folder of a training.
"""

import argparse
import dataclasses
import gc
import os
import pathlib
import signal

from experiments.plad import __main__ as plad
from experiments.plad import sequence_world
from jaxalign.io.run import progress
from tests.experiments import plain_figures, resamples, two_devices, without_torch


def config(output: pathlib.Path) -> plad.Config:
    small = dict(size=(16, 1), teacher_size=(16, 1), imitation_steps=(1, 1), num_prompts=12)
    small |= dict(warm_steps=1, steps=4, batch=8)
    return dataclasses.replace(plad.PRESETS["default"], methods=("PLaD ranking",), output=output, **small)


def shrink() -> None:
    """A small world."""
    sequence_world.NUM_TEST, sequence_world.DEMONSTRATIONS = 8, 64
    sequence_world.ROWS = 8


def kill_at(name: str, step: int) -> None:
    """At once, as the kernel or a scheduler does it, when the progress called ``name`` comes to ``step``."""
    update = progress.Progress.update

    def watched(self, done, *arguments):
        update(self, done, *arguments)
        if self._name.startswith(name) and done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    progress.Progress.update = watched


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("outputs", nargs="+", type=pathlib.Path)
    parser.add_argument("--kill-at", nargs=2, metavar=("PROGRESS", "STEP"))
    arguments = parser.parse_args()
    if arguments.kill_at:
        name, step = arguments.kill_at
        kill_at(name, int(step))
    gc.disable()  # as in toy_lipo.py
    shrink()
    resamples.draw_few(setattr)
    plain_figures.draw_plainly(setattr)
    two_devices.lay_out(setattr)
    without_torch.install()
    for output in arguments.outputs:
        plad.main(config(output))
