"""The run of killed_align.py, whole, on as many processes as flags say: ``shared_align.py --model DIR --data FILE``."""

import gc
import pathlib

from experiments.align import __main__ as align
from experiments.common import machines
from tests.experiments import killed_align, plain_figures, resamples, without_torch

if __name__ == "__main__":
    gc.disable()  # as in toy_lipo.py
    resamples.draw_few(setattr)
    plain_figures.draw_plainly(setattr)
    without_torch.install()
    nowhere = pathlib.Path()
    machines.run(align.main, {"toy": killed_align.ranked("", nowhere, nowhere)})
