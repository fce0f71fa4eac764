"""Networks in Flax Linen, and the log-probabilities that they give."""

from jaxalign.models.axes import LOGICAL_AXES
from jaxalign.models.config import DecoderConfig, RopeScaling
from jaxalign.models.decoder import Decoder
from jaxalign.models.responses import response_logps, response_token_logps, unembedding

__all__ = [
    "LOGICAL_AXES",
    "Decoder",
    "DecoderConfig",
    "RopeScaling",
    "build",
    "response_logps",
    "response_token_logps",
    "unembedding",
]


def build(config: DecoderConfig) -> Decoder:
    """The module that ``config`` describes."""
    return Decoder(config)
