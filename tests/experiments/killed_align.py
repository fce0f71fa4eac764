"""A small run of experiments.align that is killed in its third step: ``killed_align.py MODEL FILE OUTPUT``."""

import gc
import pathlib
import sys

from experiments.align import __main__ as align
from experiments.align.settings import Config, Data, Training
from experiments.common.stages import Adapter
from tests.experiments import killed_plad, resamples, two_devices, without_torch

LIMITS = (96, 64)
LOSS = "softmax"  # rounding does not move it: at first all scores are equal, in any order
STEPS = {"steps": 4, "batch": 8, "learning_rate": 0.01}


def config_of(model, path, loss, output, *, samples=0, **training):
    return Config(
        model=model,
        reading=Data(data=(path,), held_out=0.25, limits=LIMITS),
        loss=loss,
        training=Training(**STEPS | training),
        samples=samples,
        sample_tokens=8,
        output=output,
    )


def ranked(model, path, output):
    """On ranked lists, an adapter on a float base."""
    return config_of(model, path, LOSS, output, samples=2, adapter=Adapter(lora_rank=2), eval_every=2)


if __name__ == "__main__":
    model, path, output = sys.argv[1:]
    killed_plad.kill_at(LOSS, 3)
    gc.disable()  # as in toy_lipo.py
    resamples.draw_few(setattr)
    two_devices.lay_out(setattr)
    without_torch.install()
    align.main(ranked(model, pathlib.Path(path), pathlib.Path(output)))
