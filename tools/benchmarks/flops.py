"""What a list step has to multiply, and what a device can: the two halves of model FLOP utilisation (MFU)."""

import jax
import numpy as np

from jaxalign.models import DecoderConfig
from tools.benchmarks.batches import Sizes

CONVENTION = (
    "MFU counts 6 FLOP for each parameter of a matrix product and each token that goes through it (layers: P - 1",
    "prompt tokens, once a list, and K R response tokens; output matrix: K R response tokens), and 12 FLOP for each",
    "layer, head, head element, and pair of a query with a key that causality and window let it see. Not counted:",
    "recomputation (rematerialised layers, blockwise logits), masked pairs, embedding lookup, norms, softmax,",
    "optimizer.",
)

# Dense bfloat16 FLOP/s of one device, from the makers' data sheets: NVIDIA's A100, H100 and H200 Tensor Core GPU
# (their figures with sparsity are twice these), Google Cloud's TPU v4, v5e, v5p and v6e pages. By jax's device_kind.
PEAK_FLOPS = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
}


def peak_flops(device: jax.Device) -> float | None:
    """FLOP/s of ``device`` in bfloat16, None where the table above lacks it."""
    return PEAK_FLOPS.get(device.device_kind)


def list_step_flops(config: DecoderConfig, sizes: Sizes) -> int:
    """FLOP of forward and backward over shared-prompt lists without padding, by ``CONVENTION``."""
    b, p, k, r = sizes
    c = config
    layer_weights = c.width * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads) + 3 * c.width * c.mlp_width
    in_layers = 6 * c.num_layers * layer_weights * (p - 1 + k * r)
    in_logits = 6 * c.width * c.vocab_size * k * r
    pairs = sum(visible_pairs(p, k, r, c.window if windowed else None) for windowed in c.layer_windows)
    return b * (in_layers + in_logits + 12 * c.num_heads * c.head_dim * pairs)


def visible_pairs(prompt: int, responses: int, response: int, window: int | None) -> int:
    """Pairs of query and key in one list: a token at position t sees t + 1 tokens, or ``window`` of them.

    A response is fed the prompt's last token, so it starts at position ``prompt - 1``.
    """
    seen = np.arange(1, prompt + response)
    seen = seen if window is None else np.minimum(seen, window)
    return int(seen[: prompt - 1].sum() + responses * seen[prompt - 1 :].sum())
