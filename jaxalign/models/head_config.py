"""Configs of networks with a head: rewards, and classes of texts. Names in brackets are those of config.json."""

import dataclasses
from typing import Literal

from jaxalign.models.config import DecoderConfig, EncoderConfig, EncoderDecoderConfig, NetworkConfig

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification")
"""What a classifier's logits may mean, by transformers' names."""


@dataclasses.dataclass(frozen=True)
class RewardConfig:
    """A scalar reward on a backbone: one number for a prompt and its response.

    ``pooling`` says which states the number is read from. ``"last"``: the last real token's, for a response its
    end-of-sequence token. ``"mean"``: the average over real tokens. ``"first"``: the first token's, an encoder's
    ``[CLS]``, through the pooler if the encoder has one; in a decoder that token has seen nothing, and in an
    encoder-decoder nothing of the response.
    """

    backbone: DecoderConfig | EncoderConfig | EncoderDecoderConfig
    pooling: Literal["last", "mean", "first"] = "last"

    def __post_init__(self):
        if self.pooling == "first" and isinstance(self.backbone, EncoderDecoderConfig):
            raise ValueError(
                "pooling 'first' reads the decoder's start token, which sees nothing of the response; use 'last' or "
                "'mean'"
            )
        _check_first(self)

    @property
    def family(self) -> str:
        """The backbone's family."""
        return self.backbone.family

    @property
    def head_bias(self) -> bool:
        """Says whether the head has a bias: on an encoder it does, on a decoder it does not, as in transformers.

        A bias shifts all rewards alike, so that no preference depends on it.
        """
        return isinstance(self.backbone, EncoderConfig)


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """A classifier of texts: a backbone and a linear head with one logit for each class.

    ``problem_type`` is transformers' name for what the logits mean: with ``"single_label_classification"`` a text has
    one class, and the logits are those of a softmax; with ``"multi_label_classification"`` it has any number of them,
    and each logit is that of a class by itself.

    ``pooling`` says which states the logits are read from. ``"first"``, an encoder's default: the first token's,
    through the pooler if the encoder has one. ``"last"``, a decoder's default: the last real token's. ``"mean"``: the
    average over real tokens.
    """

    backbone: DecoderConfig | EncoderConfig
    labels: tuple[str, ...]  # the name of each class, in the order of the logits [id2label]
    problem_type: Literal["single_label_classification", "multi_label_classification"] = "single_label_classification"
    pooling: Literal["last", "mean", "first"] | None = None  # None: the default of the backbone, which it becomes

    def __post_init__(self):
        if not isinstance(self.backbone, DecoderConfig | EncoderConfig):
            raise ValueError(
                f"a classifier's backbone is described by DecoderConfig or EncoderConfig, got "
                f"{type(self.backbone).__name__}; use a decoder or an encoder"
            )
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(
                f"labels must be the names of two or more classes, each once, got {self.labels!r}; yes and no are two "
                f"classes, and one number for a text is a RewardConfig"
            )
        if self.problem_type not in PROBLEM_TYPES:
            raise ValueError(f"problem_type must be one of {', '.join(PROBLEM_TYPES)}, got {self.problem_type!r}")
        if self.pooling is None:
            pooling = "first" if isinstance(self.backbone, EncoderConfig) else "last"
            object.__setattr__(self, "pooling", pooling)
        _check_first(self)

    @property
    def family(self) -> str:
        """The backbone's family."""
        return self.backbone.family

    @property
    def multi_label(self) -> bool:
        """Says whether a text may have several classes, or none."""
        return self.problem_type == "multi_label_classification"

    @property
    def head_bias(self) -> bool:
        """Says whether the head has biases: on an encoder it does, on a decoder it does not, as in transformers."""
        return isinstance(self.backbone, EncoderConfig)


@dataclasses.dataclass(frozen=True)
class MatchingConfig:
    """A classifier that compares a text's state with a vector of each class, bilinearly.

    Logits are those of each class by itself: a text may have any number of them. ``pooling`` says which states they are
    read from, as in a ``ClassifierConfig``: ``"first"`` is an encoder's first token, through its pooler if it has one
    (BERT, as in TELEClass), and ``"mean"`` suits sentence encoders such as MiniLM.
    """

    backbone: DecoderConfig | EncoderConfig
    labels: tuple[str, ...]  # the name or id of each class, in the order of the logits, no two alike
    class_width: int  # of the classes' embeddings
    pooling: Literal["last", "mean", "first"] = "first"

    def __post_init__(self):
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must be of two or more classes, each once, got {len(self.labels)} labels")
        _check_first(self)

    @property
    def family(self) -> str:
        """The backbone's family."""
        return self.backbone.family

    @property
    def multi_label(self) -> bool:
        """Says whether a text may have several classes, or none: it always may."""
        return True


HeadConfig = RewardConfig | ClassifierConfig | MatchingConfig
"""A network with a head on one of its states."""

ModelConfig = NetworkConfig | HeadConfig
"""Whatever :func:`jaxalign.models.build` makes a module from."""


def backbone_config(config: ModelConfig) -> NetworkConfig:
    """Returns the config of the network itself, without what a head adds to it.

    Args:
      config: a ``RewardConfig``, ``ClassifierConfig`` or ``MatchingConfig``, whose backbone is returned, or a network's
        config, which is returned as it is.
    """
    return config.backbone if isinstance(config, HeadConfig) else config


def _check_first(config: HeadConfig) -> None:
    if config.pooling == "first" and isinstance(config.backbone, DecoderConfig):
        raise ValueError("pooling 'first' reads a decoder's first token, which sees nothing else; use 'last' or 'mean'")
