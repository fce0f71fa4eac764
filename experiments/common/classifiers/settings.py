"""What a classifier is trained with, and what comes of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.common.fields import Count, Rate, Share
from experiments.common.task import Policy
from jaxalign.data import HfTokenizer

PredictFn = Callable[[Sequence[str]], Float[np.ndarray, "N C"]]
"""``predict(texts) -> [N, C]``: the probability of each class of each text."""


@dataclasses.dataclass(frozen=True)
class ClassifierTraining:
    """Flags of experiments that train a classifier on texts; the recipe is that of AttrPrompt (arXiv 2306.15895).

    Departures: no dropout, and the weights that are kept are the best on a development part, not the last ones.
    """

    encoder: str = ""  # a Hugging Face directory or hub id; empty: a small encoder from scratch, for a probe the words
    classifier: Literal["fine-tuned", "probe"] = "fine-tuned"  # probe: a regression on what the encoder makes of texts
    epochs: Count = 8  # passes over the texts
    classifier_batch: Count = 32  # texts of a step
    classifier_learning_rate: Rate = 2e-5  # at its peak, behind a warm-up over 6 % of the steps and before a line to 0
    weight_decay: Rate = 1e-3  # of matrices
    text_lengths: tuple[Count, ...] = (32, 64, 128)  # tokens of rows, growing; a longer text is cut at the last
    dev_share: Share = 0.1  # of the texts that choose the weights, at least one text
    encoder_size: tuple[Count, Count] = (64, 2)  # width and layers of an encoder from scratch
    encoder_words: Count = 2048  # the most words that it knows


class Start(NamedTuple):
    """A tokenizer, a network without a head, and what it made of the texts that probes have seen."""

    tokenizer: HfTokenizer
    backbone: Policy | None  # None: a probe looks at the words alone
    seen: dict[str, Float[np.ndarray, "D"]] | None = None  # None: nothing is remembered


class Trained(NamedTuple):
    """A classifier that has learnt."""

    classes: tuple[str, ...]
    several: bool  # a text may have several classes, or none
    predict: PredictFn
    told: Mapping[str, Any]  # counts and development figures, for a report
    start: Start  # whose tokenizer it reads with
    network: Policy | None = None  # None: a probe, which is not one network
