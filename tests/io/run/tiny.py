"""A small training run with everything that must survive a break: shuffled data, noise from the step's key, momentum.

``python tests/io/run/tiny.py DIRECTORY [STEP SIGNAL [CHECKPOINT]]`` sends itself SIGNAL once its batch number STEP is
there, and CHECKPOINT on disk.
"""

import os
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.modules["torch"] = None  # tensorboardX imports torch where there is one, which takes seconds per process

import grain
import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import numerics, training
from jaxalign.io.run import loop

NUM_STEPS, CHECKPOINT_EVERY, SEED = 12, 4, 7


class Rows:
    def __len__(self):
        return 40

    def __getitem__(self, index):
        x = np.random.default_rng(index).normal(size=4).astype(np.float32)
        return {"x": x, "y": x.sum(), "index": np.int32(index)}


def make_dataset(process=0, processes=1):
    """Batches of eight rows, of which each process reads its share."""
    rows = grain.MapDataset.source(Rows()).seed(1).shuffle().repeat()
    batches = rows[process::processes].batch(8 // processes)
    return batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))  # 500 are read by default


def loss_fn(params, batch, key):
    noise = 0.1 * jax.random.uniform(key)
    error = batch["x"] @ params["w"] + params["b"] + noise - batch["y"]
    return numerics.ratio(error**2), {
        "tokens": numerics.ratio(jnp.full(error.shape, 4.0)),
        "first_index": numerics.Ratio(batch["index"][0], jnp.float32(1)),
    }


OPTIMIZER = training.adamw(training.cosine_schedule(0.1, num_steps=NUM_STEPS))
STEP = training.make_train_step(loss_fn, OPTIMIZER)


def init_state(**placement):
    return training.init_state({"w": jnp.zeros(4), "b": jnp.zeros(())}, OPTIMIZER, **placement)


def run(directory, **options):
    defaults = {"step": STEP, "dataset": make_dataset(), "key": jax.random.key(SEED), "num_steps": NUM_STEPS}
    options = {**defaults, "checkpoint_every": CHECKPOINT_EVERY, **options}
    return loop.fit(options.pop("step"), init_state(), options.pop("dataset"), directory=directory, **options)


def at_batch(number, action, then=lambda batch: batch):
    """A ``place`` that calls ``action`` when the batch of step ``number`` of this process is there, and ``then``."""
    seen = []

    def place(batch):
        seen.append(None)
        if len(seen) == number:
            action()
        return then(batch)

    return place


def main(directory, number=None, signal=None, checkpoint=None):
    directory = pathlib.Path(directory)

    def send():
        while checkpoint and not (directory / "checkpoints" / checkpoint).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), int(signal))

    run(directory, **({"place": at_batch(int(number), send)} if number else {}))


if __name__ == "__main__":
    main(*sys.argv[1:])
