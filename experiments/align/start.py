"""What a run begins with: the model, its tokenizer, encoded data, and the reference's log-probabilities."""

import dataclasses
import functools
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from experiments.align.methods import METHODS, Method, Options
from experiments.align.reading import Records
from experiments.align.settings import Config
from experiments.common import machines, stages
from experiments.common.rewards.stages import on_backbone
from experiments.common.task import Policy
from jaxalign import data, models
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.io import hf
from jaxalign.typing import LossFn

PLAIN = "plain"
ROUND = 8  # tokens to a multiple of which the longest prompt and response are padded


class Encoded(NamedTuple):
    """The token ids of what is learnt and of what is held out, None where nothing is."""

    train: EncodedLists
    test: EncodedLists | None


def load_tokenizer(config: Config) -> HfTokenizer:
    """The model's tokenizer, with the chat template that the config gives to one that has none.

    Raises:
      ValueError: the model has a template, and the config another.
    """
    tokenizer = data.load_tokenizer(hf.resolve(config.model))
    given = config.reading.chat_template
    if not given or given == PLAIN:
        return tokenizer
    if tokenizer.has_chat_template:
        raise ValueError(f"--chat-template {given}: {config.model} has a template of its own; leave it out")
    return tokenizer.with_chat_template(pathlib.Path(given).read_text(encoding="utf-8"))


def check_prompts(config: Config, tokenizer: HfTokenizer, records: list[PreferenceRecord]) -> None:
    """Refuses chats for a model without a chat template, unless the config names one.

    Raises:
      ValueError: with both ways out.
    """
    is_chat = any(not isinstance(record.prompt, str) for record in records)
    if is_chat and not tokenizer.has_chat_template and config.reading.chat_template != PLAIN:
        raise ValueError(
            f"the data are chats, and {config.model} has no chat template, so nobody knows how it reads one: pass "
            "--chat-template FILE.jinja, or --chat-template plain for lines of 'role: content'"
        )


def load_start(config: Config) -> Policy:
    """The model as the run begins, computing as the config says; with a new scalar head for ``reward``.

    Raises:
      ValueError: the model and the loss do not fit.
    """
    loaded = stages.load_policy(config.model)
    is_reward = isinstance(loaded.model.config, models.RewardConfig)
    if is_reward and config.loss != "reward":
        raise ValueError(f"{config.model} is a reward model, which --loss {config.loss} cannot align; take reward")
    if config.loss == "reward" and not is_reward:
        loaded = on_backbone(loaded, jax.random.key(config.seed))
    return stages.computing(loaded, config.training.computing)


def encode(config: Config, records: Records, tokenizer: HfTokenizer) -> Encoded:
    """Token ids within the config's limits, to be padded to the longest that there are."""
    encode_fn = data.encode_reward_lists if config.loss == "reward" else data.encode_lists
    limits = {"max_prompt": config.reading.limits[0], "max_response": config.reading.limits[1]}
    train, test = (encode_fn(part, tokenizer, **limits) if part else None for part in (records.train, records.test))
    fitting = np.max([longest(part) for part in (train, test) if part is not None], axis=0)
    return Encoded(*(part and _padded_to(part, fitting) for part in (train, test)))


def longest(lists: EncodedLists) -> tuple[int, int]:
    """The most tokens of a prompt and of a response."""
    return int(np.diff(lists.prompt_starts).max()), int(np.diff(lists.response_starts).max())


def _padded_to(lists: EncodedLists, lengths) -> EncodedLists:
    limits = [min(-(-int(length) // ROUND) * ROUND, most) for length, most in zip(lengths, lists.limits, strict=True)]
    return machines.even(dataclasses.replace(lists, limits=tuple(limits)))


def options_of(config: Config) -> Options:
    """What the loss is told, with the defaults of its paper."""
    method = METHODS[config.loss]
    return Options(
        beta=method.beta if config.beta is None else config.beta,
        label_smoothing=config.label_smoothing,
        margin=config.margin,
        sft_weight=method.sft_weight if config.sft_weight is None else config.sft_weight,
    )


def make_loss(config: Config, model) -> LossFn:
    """The loss of the config's method."""
    return METHODS[config.loss].make(model, options_of(config))


def list_size(config: Config, method: Method, lists: EncodedLists) -> int:
    """Responses of a prompt in one step."""
    most = int(np.diff(lists.list_starts).max())
    if method.reads in ("unpaired", "demonstrations"):
        return 1
    if method.reads == "mismatched":
        return 2
    default = 2 if method.reads == "pairs" else 8
    return min(config.training.list_size or default, most)


def reference_logps(config: Config, method: Method, lists: EncodedLists | None, start: Policy) -> np.ndarray | None:
    """``[N, n]`` nats of the reference, kept in the run's folder; None for losses without one."""
    if lists is None or not method.reference:
        return None
    reference = start
    if config.reference:
        reference = stages.computing(load_reference(config), config.training.computing)
    return stages.reference_logps(lists, reference, config.output, list_size=min(list_size(config, method, lists), 8))


@functools.lru_cache(maxsize=1)
def load_reference(config: Config) -> Policy:
    """The model that ``--reference`` names, of the same vocabulary as the one that is aligned.

    Raises:
      ValueError: its tokenizer has other tokens.
    """
    ours, theirs = (data.load_tokenizer(hf.resolve(name)).vocabulary for name in (config.model, config.reference))
    if ours != theirs:
        raise ValueError(
            f"--reference {config.reference} has other tokens than {config.model}: their log-probabilities of one text "
            "are of different tokens; take a model of the same family"
        )
    return stages.load_policy(config.reference)
