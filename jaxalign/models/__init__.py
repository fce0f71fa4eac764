"""Networks in Flax Linen, and the log-probabilities, rewards and classes that they give."""

from jaxalign.models.axes import LOGICAL_AXES
from jaxalign.models.classifier import Classifier, class_probabilities, init_classifier_params
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
    EncoderDecoderConfig,
    LanguageModelConfig,
    NetworkConfig,
    Origin,
    RopeScaling,
)
from jaxalign.models.decoder import Decoder
from jaxalign.models.encoder import Encoder
from jaxalign.models.encoder_decoder import EncoderDecoder
from jaxalign.models.encoder_decoder_reward import EncoderDecoderRewardModel
from jaxalign.models.head_config import (
    ClassifierConfig,
    HeadConfig,
    MatchingConfig,
    ModelConfig,
    RewardConfig,
    backbone_config,
)
from jaxalign.models.lora import apply_lora, init_lora, lora_loss, merge_lora
from jaxalign.models.lora_config import LoraConfig
from jaxalign.models.matching import MatchingClassifier, init_matching_params
from jaxalign.models.pooling import pool_states
from jaxalign.models.probe import Probe, embed_rows, embed_texts, fit_probe, probe_logits
from jaxalign.models.quantization import dequantize_base, quantize_base
from jaxalign.models.responses import (
    response_hidden,
    response_lengths,
    response_logps,
    response_token_logps,
    unembedding,
)
from jaxalign.models.reward import RewardModel, init_reward_params, response_rewards

__all__ = [
    "LOGICAL_AXES",
    "Classifier",
    "ClassifierConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "EncoderDecoderRewardModel",
    "HeadConfig",
    "LanguageModelConfig",
    "LoraConfig",
    "MatchingClassifier",
    "MatchingConfig",
    "ModelConfig",
    "NetworkConfig",
    "Origin",
    "Probe",
    "RewardConfig",
    "RewardModel",
    "RopeScaling",
    "apply_lora",
    "backbone_config",
    "build",
    "class_probabilities",
    "comparison_logits",
    "comparison_preferences",
    "dequantize_base",
    "embed_rows",
    "embed_texts",
    "fit_probe",
    "init_classifier_params",
    "init_lora",
    "init_matching_params",
    "init_reward_params",
    "lora_loss",
    "merge_lora",
    "quantize_base",
    "pool_states",
    "probe_logits",
    "response_hidden",
    "response_lengths",
    "response_logps",
    "response_rewards",
    "response_token_logps",
    "three_way_preferences",
    "two_way_preferences",
    "unembedding",
    "verdict_logps",
]

NETWORKS = {DecoderConfig: Decoder, EncoderConfig: Encoder, EncoderDecoderConfig: EncoderDecoder}
REWARD_MODELS = {
    DecoderConfig: RewardModel,
    EncoderConfig: RewardModel,
    EncoderDecoderConfig: EncoderDecoderRewardModel,
}
CLASSIFIERS = {DecoderConfig: Classifier, EncoderConfig: Classifier}
MATCHING = {DecoderConfig: MatchingClassifier, EncoderConfig: MatchingClassifier}
HEADS = {RewardConfig: REWARD_MODELS, ClassifierConfig: CLASSIFIERS, MatchingConfig: MATCHING}


def build(
    config: ModelConfig,
) -> Decoder | Encoder | EncoderDecoder | RewardModel | EncoderDecoderRewardModel | Classifier | MatchingClassifier:
    """Returns the Flax module that a config describes: ``init`` makes its parameters, ``apply`` runs it.

    Args:
      config: that of a network, a ``RewardConfig``, which puts a scalar reward on a network, or a
        ``ClassifierConfig`` or ``MatchingConfig``, which put one logit for each class there.
    """
    return HEADS.get(type(config), NETWORKS)[type(backbone_config(config))](config)
