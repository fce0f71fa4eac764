"""One of several processes: ``python tests/io/run/many_processes.py DIRECTORY PORT PROCESS PROCESSES [STEP SIGNAL
[CHECKPOINT]]``.

Together they have eight devices. It sends itself SIGNAL at its batch of STEP, once CHECKPOINT is on disk. All read the
same order of rows and keep their share, so that together they see the batches of one process.
"""

import functools
import os
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.modules["torch"] = None  # tensorboardX imports torch where there is one, which takes seconds per process

import jax

from jaxalign import sharding, training
from jaxalign.io.cluster import launch
from jaxalign.io.run import loop
from tests.io.run import tiny

RULES = sharding.Rules({})


def send(signal, checkpoint):
    while checkpoint and not checkpoint.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal)
    time.sleep(3)  # JAX's preemption service looks for signals once a second, and these steps are short


def main(directory, port, process, processes, number=None, signal=None, checkpoint=None):
    launch.initialize(coordinator=f"localhost:{port}", num_processes=int(processes), process_id=int(process))
    wait_for = checkpoint and pathlib.Path(directory) / "checkpoints" / checkpoint
    actions = {int(number): lambda: send(int(signal), wait_for)} if number else {}
    train(directory, sharding.make_mesh(data=4, fsdp=2), actions)


def train(directory, mesh, actions):
    """The run on this mesh; ``actions`` happen when the batch of their step is there."""
    step = training.make_train_step(tiny.loss_fn, tiny.OPTIMIZER, mesh=mesh, rules=RULES)
    place = functools.partial(sharding.place_batch, mesh=mesh, rules=RULES)
    for number, action in actions.items():
        place = tiny.at_batch(number, action, then=place)
    return loop.fit(
        step,
        tiny.init_state(mesh=mesh, rules=RULES),
        tiny.make_dataset(*sharding.process_share(mesh, RULES)),
        key=jax.random.key(tiny.SEED),
        num_steps=tiny.NUM_STEPS,
        directory=pathlib.Path(directory),
        place=place,
        checkpoint_every=tiny.CHECKPOINT_EVERY,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
