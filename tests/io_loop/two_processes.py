"""``python tests/io_loop/two_processes.py DIRECTORY PORT PROCESS [STEP SIGNAL]``: one of two processes of four devices.

Both read the same order of rows and keep every other one, so that together they see the batches of one process.
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
from jaxalign.io import launch, loop
from tests.io_loop import tiny

RULES = sharding.Rules({})


def send(signal):
    os.kill(os.getpid(), signal)
    time.sleep(3)  # JAX's preemption service looks for signals once a second, and these steps are short


def main(directory, port, process, number=None, signal=None):
    process = int(process)
    launch.initialize(coordinator=f"localhost:{port}", num_processes=2, process_id=process)
    mesh = sharding.make_mesh(data=4, fsdp=2)
    step = training.make_train_step(tiny.loss_fn, tiny.OPTIMIZER, mesh=mesh, rules=RULES)
    place = functools.partial(sharding.place_batch, mesh=mesh, rules=RULES)
    if number:
        place = tiny.at_batch(int(number), lambda: send(int(signal)), then=place)
    loop.fit(
        step,
        tiny.init_state(mesh=mesh, rules=RULES),
        tiny.make_dataset(process, 2),
        key=jax.random.key(tiny.SEED),
        num_steps=tiny.NUM_STEPS,
        directory=pathlib.Path(directory),
        place=place,
        checkpoint_every=tiny.CHECKPOINT_EVERY,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
