"""experiments.lipo at toy size; ``python tests/experiments/toy_lipo.py [--field VALUE ...]``."""

import dataclasses
import gc

from experiments.common import draw, machines, sequence_task, stages
from experiments.common.stages import FineTuning
from experiments.lipo import __main__ as lipo
from tests.experiments import plain_figures, resamples, without_torch

TOY = dataclasses.replace(
    lipo.PRESETS["default"],
    size=(16, 1),
    num_prompts=8,
    sft=FineTuning(sft_steps=1, sft_batch=(8, 64)),
    losses=("softmax",),  # a loss that rounding does not move: at first all scores are equal, in any order
    steps=2,
    batch=8,
    list_size=3,
)


def shrink(set_fn):
    """Few prompts to test on, and small batches to sample and to score, so that two processes have work."""
    set_fn(sequence_task, "NUM_TEST", 8)
    set_fn(sequence_task, "TEST_SAMPLES", TOY.list_size)  # drawn by the program that draws the lists
    set_fn(draw, "BATCH", 4)
    set_fn(stages, "REFERENCE_BATCH", 4)


if __name__ == "__main__":
    gc.disable()  # for ten seconds of life, of which it would take more than one
    shrink(setattr)
    resamples.draw_few(setattr)
    plain_figures.draw_plainly(setattr)
    without_torch.install()
    machines.run(lipo.main, {"toy": TOY})
