"""What is wrong with the settings of a run, as far as data and numbers tell before it trains: errors and warnings."""

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.align.methods import Method, Options
from experiments.align.settings import Config
from experiments.common import prompts
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord, answer_text

MANY = 0.05  # share of prompts or responses that are cut, from which it is said
SAME = 3  # prompts of the same greatest length that look cut
AT_MOST = {False: 1e-4, True: 3e-3}
"""Peak rates of AdamW beyond which a pretrained model falls apart: of all its parameters, of an adapter."""


class Finding(NamedTuple):
    """Something that is wrong, or that somebody should know."""

    is_error: bool
    text: str


class Learnt(NamedTuple):
    """What a run is about to learn from."""

    records: Sequence[PreferenceRecord]
    lists: EncodedLists
    tokenizer: HfTokenizer


def find(config: Config, method: Method, options: Options, learnt: Learnt, rate: float) -> list[Finding]:
    """Looks at everything that can be looked at before the first step.

    Args:
      rate: the peak learning rate.
    """
    ends = [] if method.reads == "rewards" else _ends(config, learnt)
    found = [*_labels(method, learnt.lists), *ends, *_lengths(config, learnt.lists)]
    return [*found, *_prompts(config, learnt), *_numbers(config, method, options, rate)]


def check_reference(log_ratio: float, *, tolerance: float) -> None:
    """Checks that a policy which is its own reference says of the first batch what the reference said.

    Args:
      log_ratio: nats a response, policy over reference, in the first step.
      tolerance: nats that rounding explains.

    Raises:
      ValueError: the log-probabilities are of another model.
    """
    if abs(log_ratio) > tolerance:
        raise ValueError(
            f"the stored log-probabilities of the reference are {log_ratio:.3g} nats a response off the model "
            "that the run begins with, which is its own reference: they are of another model, or of other tokens. "
            "Remove the folder 'reference' of the run, or name their model with --reference"
        )


def _labels(method: Method, lists: EncodedLists) -> Iterator[Finding]:
    if method.reads in ("unpaired", "mismatched"):
        kinds = set(lists.labels.tolist()) & {0.0, 1.0}
        if len(kinds) == 1:
            said = "desirable" if kinds == {1.0} else "undesirable"
            yield Finding(True, f"labels are constant: all responses are {said}, so that nothing tells good from bad")
    elif method.reads != "demonstrations":
        bounds = zip(lists.list_starts[:-1], lists.list_starts[1:], strict=True)
        tied = sum(len(set(lists.labels[first:end].tolist())) < 2 for first, end in bounds)
        if tied == len(lists):
            yield Finding(True, "labels are constant within every list: no response is better than another")
        elif tied:
            yield Finding(
                False, f"{tied:,} of {len(lists):,} lists have equal labels only: nothing is learnt from them"
            )


def _ends(config: Config, learnt: Learnt) -> Iterator[Finding]:
    """Complete responses end with a token that ends a text, or a policy learns not to stop."""
    lists, ends = learnt.lists, set(learnt.tokenizer.end_ids)
    lengths = np.diff(lists.response_starts)
    complete = np.flatnonzero((lengths > 0) & (lengths < config.reading.limits[1]))
    # A line's end may stand behind the end of a turn.
    endless = sum(not ends & set(lists.response(index)[-3:].tolist()) for index in complete)
    if endless:
        yield Finding(
            True,
            f"EOS unknown: {endless:,} of {len(complete):,} complete responses do not end with a token that ends "
            f"a text (ids {sorted(ends)}), so that the policy would learn not to stop. Set eos_token in "
            "tokenizer_config.json to the token with which the chat template ends a turn",
        )


def _lengths(config: Config, lists: EncodedLists) -> Iterator[Finding]:
    lengths, report = np.diff(lists.response_starts), lists.report
    most = config.reading.limits
    if len(lengths) > 1 and len(set(lengths.tolist())) == 1:
        cut = f", cut by --limits {most[0]} {most[1]}" if report.responses_truncated else ""
        yield Finding(
            bool(report.responses_truncated),
            f"responses of one length only: all {len(lengths):,} have {lengths[0]} tokens{cut}; a policy learns no end "
            "from them",
        )
    elif report.responses_truncated > MANY * report.responses:
        yield Finding(
            False,
            f"{report.responses_truncated:,} of {report.responses:,} responses are cut at {most[1]} tokens and have no "
            "end then: raise --limits, if memory allows",
        )
    if report.prompts_truncated > MANY * report.prompts:
        yield Finding(
            False,
            f"{report.prompts_truncated:,} of {report.prompts:,} prompts lose their beginning, such as a system "
            f"message: they keep their last {most[0]} tokens. Raise --limits, if memory allows",
        )


def _prompts(config: Config, learnt: Learnt) -> Iterator[Finding]:
    texts = [_last_said(record) for record in learnt.records]
    lengths = collections.Counter(map(len, dict.fromkeys(texts)))
    longest, count = max(lengths.items())
    if count >= max(SAME, MANY * len(texts)) and longest >= 100 and len(lengths) > 1:
        yield Finding(
            False,
            f"{count:,} prompts have exactly {longest} characters, the most that there are: they look cut at the wrong "
            "end, before the question is complete, by whoever wrote the files",
        )
    if warning := prompts.plain(learnt.records, learnt.tokenizer, config.model):
        yield Finding(False, warning)


def _last_said(record: PreferenceRecord) -> str:
    return record.prompt if isinstance(record.prompt, str) else answer_text(record.prompt[-1].get("content", ""))


def _numbers(config: Config, method: Method, options: Options, rate: float) -> Iterator[Finding]:
    adapter = config.training.adapter.lora_rank > 0
    if rate > AT_MOST[adapter]:
        yield Finding(
            False,
            f"--learning-rate {rate:g} is for models from scratch: a pretrained one falls apart above about "
            f"{AT_MOST[adapter]:g} ({'with an adapter' if adapter else 'all parameters'})",
        )
    if rate == 0:
        yield Finding(False, "--learning-rate 0: nothing will move")
    if method.reference and options.beta > 2:
        yield Finding(False, f"--beta {options.beta:g} holds the policy to its reference: 0.01 to 0.5 are usual")
    if config.label_smoothing and not method.smooths:
        yield Finding(True, f"--label-smoothing: --loss {config.loss} knows none; leave it out")
    if config.training.pack_tokens and method.reads == "rewards":
        yield Finding(True, "--pack-tokens: a reward model reads a prompt a row; leave it out")
    if config.reference and not method.reference:
        yield Finding(True, f"--reference: --loss {config.loss} compares with none; leave it out")
