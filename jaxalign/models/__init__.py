"""Networks in Flax Linen, and the log-probabilities and rewards that they give."""

from jaxalign.models.axes import LOGICAL_AXES
from jaxalign.models.comparisons import (
    comparison_logits,
    comparison_preferences,
    three_way_preferences,
    two_way_preferences,
    verdict_logps,
)
from jaxalign.models.config import (
    DecoderConfig,
    EncoderConfig,
    ModelConfig,
    RewardConfig,
    RopeScaling,
    backbone_config,
)
from jaxalign.models.decoder import Decoder
from jaxalign.models.encoder import Encoder
from jaxalign.models.lora import LoraConfig, apply_lora, init_lora, lora_loss, merge_lora
from jaxalign.models.responses import response_hidden, response_logps, response_token_logps, unembedding
from jaxalign.models.reward import RewardModel, init_reward_params, pool_states, response_rewards

__all__ = [
    "LOGICAL_AXES",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "LoraConfig",
    "ModelConfig",
    "RewardConfig",
    "RewardModel",
    "RopeScaling",
    "apply_lora",
    "backbone_config",
    "build",
    "comparison_logits",
    "comparison_preferences",
    "init_lora",
    "init_reward_params",
    "lora_loss",
    "merge_lora",
    "pool_states",
    "response_hidden",
    "response_logps",
    "response_rewards",
    "response_token_logps",
    "three_way_preferences",
    "two_way_preferences",
    "unembedding",
    "verdict_logps",
]

MODULES = {DecoderConfig: Decoder, EncoderConfig: Encoder, RewardConfig: RewardModel}


def build(config: ModelConfig) -> Decoder | Encoder | RewardModel:
    """The module that ``config`` describes."""
    return MODULES[type(config)](config)
