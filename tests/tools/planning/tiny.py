"""A decoder that compiles in a second: Gemma 2's structure, which has most parts."""

import dataclasses

from jaxalign.models import DecoderConfig
from tools.model_shapes import MODELS
from tools.planning.steps import Setup
from tools.planning.workloads import Workload

CONFIG: DecoderConfig = dataclasses.replace(
    MODELS["Gemma-2-2B"],
    vocab_size=512,
    width=128,
    mlp_width=256,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    windowed_layers=(True, False),
)


def make_setup(step: str = "lipo", batch: int = 4, list_size: int = 2, **changes) -> Setup:
    """Prompts of 16 tokens and responses of 8."""
    return Setup(dataclasses.replace(CONFIG, **changes), Workload(step, batch, 16, 8, list_size))
