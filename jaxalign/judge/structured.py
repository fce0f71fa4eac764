"""Structured comparison: aspects, sampled contrasts, the most consistent one of each aspect, and a verdict from these.

Source: SC2 (arXiv 2311.08390). The steps are the paper's; prompts and counts are ours, because its own were not at
hand. Also ours: half of the contrasts of an aspect are sampled with the texts exchanged, as both orders are asked for
everywhere else.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data import PreferencePair
from jaxalign.judge import parsing, prompts, selection
from jaxalign.judge.consistency import SampledContrast, make_critic
from jaxalign.judge.contrasts import Column, Contrast, Table, swap_table
from jaxalign.judge.selection import Critic, Selector
from jaxalign.judge.verdicts import JudgeFn, Judgement, antisymmetric
from jaxalign.prompting import both_orders, option_probabilities
from jaxalign.prompting.options import NormaliseFn, check_counts, check_temperature
from jaxalign.typing import GenerateFn, ScoreOptionsFn


@dataclasses.dataclass(frozen=True)
class StructuredConfig:
    """How a structured judge compares.

    Raises:
      ValueError: naming the field that is out of range.
    """

    num_aspects: int = 4  # 0: no aspects, one comparison of the whole
    num_candidates: int = 4  # contrasts that are sampled for each aspect, both orders together
    joint: bool = False  # all aspects in one text, instead of a text for each
    temperature: float = 0.7  # of contrasts; aspects are asked for at 0
    max_tokens: int = 256  # of a contrast; a joint text may have as many for each aspect
    seed: int = 0

    def __post_init__(self):
        if self.num_aspects < 0:
            raise ValueError(f"num_aspects: expected at least 0, got {self.num_aspects}; 0 compares the whole")
        check_counts(num_candidates=self.num_candidates, max_tokens=self.max_tokens)
        check_temperature(self.temperature)


def make_structured_judge(
    generate: GenerateFn,
    score_options: ScoreOptionsFn,
    task: prompts.JudgeTask,
    config: StructuredConfig = StructuredConfig(),
    *,
    select: Selector = selection.knockout,
    normalise_fn: NormaliseFn = option_probabilities,
) -> JudgeFn:
    """Makes the judge of SC2, which compares two texts by aspects before it decides.

    Each step asks about all pairs in one call, save for the rounds of a knockout.

    Texts that cannot be read are counted: aspects that are not a list leave the one aspect ``WHOLE``, a contrast
    without its three parts is no candidate, an aspect without a candidate is no column. A table without columns leaves
    the question asked outright. A verdict whose scores could not be read is an unparsed judgement; of two candidates
    about which nothing could be read neither wins.

    Args:
      generate: continues prompts with texts, by a language model.
      score_options: scores options as answers to prompts, by a language model.
      task: the question, and what the texts are called.
      config: how many aspects and contrasts, and how they are sampled.
      select: :func:`~jaxalign.judge.knockout`, ``round_robin`` or ``pointwise``; ``make_random(seed)`` or ``first`` to
        leave out the comparator.
      normalise_fn: makes probabilities of the scores of a prompt's options.

    Source: SC2 (arXiv 2311.08390).
    """
    critic = make_critic(score_options, task, normalise_fn=normalise_fn)

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        proposals = _propose(generate, task, pairs, config)
        samples = _compare(generate, task, pairs, proposals, config)
        tables = _choose(pairs, proposals, samples, select, critic)
        orders = both_orders(
            score_options,
            [prompts.render_verdict(task, *shown) for shown in zip(pairs, tables, strict=True)],
            [
                prompts.render_verdict(task, pair.swapped(), swap_table(table))
                for pair, table in zip(pairs, tables, strict=True)
            ],
            prompts.TEXT_OPTIONS,
            normalise_fn,
        )
        return [
            Judgement(
                order.probability,
                order,
                table,
                texts=(*proposal.texts, *sample.texts),
                asked=len(proposal.texts) + sample.asked,
                unparsed=proposal.unparsed + sample.asked - sum(map(len, sample.contrasts)),
            )
            for order, table, proposal, sample in zip(orders, tables, proposals, samples, strict=True)
        ]

    return antisymmetric(judge)


class _Proposal(NamedTuple):
    """The aspects of one pair."""

    aspects: tuple[str, ...]
    texts: tuple[str, ...] = ()
    unparsed: int = 0


class _Ask(NamedTuple):
    """What one text of a model should compare."""

    pair: PreferencePair
    aspects: tuple[str, ...]


class _Written(NamedTuple):
    """One text of a model, and its contrast in each aspect that was asked for."""

    text: str
    contrasts: tuple[Contrast | None, ...]


class _Samples(NamedTuple):
    """What was sampled for one pair."""

    contrasts: list[list[Contrast]]  # of each aspect, those that could be read
    texts: list[str]
    asked: int  # contrasts in all


def _propose(generate: GenerateFn, task, pairs, config: StructuredConfig) -> list[_Proposal]:
    if config.num_aspects == 0 or not pairs:
        return [_Proposal((prompts.WHOLE,)) for _ in pairs]
    asked = [prompts.render_aspects(task, pair, config.num_aspects) for pair in pairs]
    texts = [text for (text,) in generate(asked, temperature=0.0, max_tokens=config.max_tokens, seed=config.seed)]
    parsed = [parsing.parse_aspects(text, config.num_aspects) for text in texts]
    return [
        _Proposal(aspects or (prompts.WHOLE,), (text,), int(not aspects))
        for aspects, text in zip(parsed, texts, strict=True)
    ]


def _compare(generate: GenerateFn, task, pairs, proposals: list[_Proposal], config: StructuredConfig) -> list[_Samples]:
    groups = [[each.aspects] if config.joint else [(aspect,) for aspect in each.aspects] for each in proposals]
    asks = [_Ask(pair, aspects) for pair, group in zip(pairs, groups, strict=True) for aspects in group]
    exchanged = [_Ask(ask.pair.swapped(), ask.aspects) for ask in asks]
    n = config.num_candidates // 2
    plain = _write(generate, task, asks, config, config.num_candidates - n, config.seed)
    turned = _write(generate, task, exchanged, config, n, config.seed + 1)
    written = iter([[*a, *map(_turn_back, b)] for a, b in zip(plain, turned, strict=True)])
    return [_gather(list(itertools.islice(written, len(group)))) for group in groups]


def _write(generate: GenerateFn, task, asks: list[_Ask], config: StructuredConfig, n: int, seed: int):
    """``n`` texts for each ask, as :class:`_Written`."""
    if not asks or not n:
        return [[] for _ in asks]
    if config.joint:
        asked = [prompts.render_joint_contrast(task, *ask) for ask in asks]
        parse = parsing.parse_joint_contrast
    else:
        asked = [prompts.render_contrast(task, ask.pair, *ask.aspects) for ask in asks]
        parse = _parse_one
    max_tokens = config.max_tokens * max(len(ask.aspects) for ask in asks)
    texts = generate(asked, n=n, temperature=config.temperature, max_tokens=max_tokens, seed=seed)
    return [[_Written(text, parse(text, ask.aspects)) for text in each] for ask, each in zip(asks, texts, strict=True)]


def _parse_one(text: str, aspects: tuple[str, ...]) -> tuple[Contrast | None, ...]:
    return (parsing.parse_contrast(text),)


def _turn_back(written: _Written) -> _Written:
    return written._replace(contrasts=tuple(each and each.swapped() for each in written.contrasts))


def _gather(groups: list[list[_Written]]) -> _Samples:
    columns = [column for group in groups for column in zip(*(each.contrasts for each in group), strict=True)]
    return _Samples(
        contrasts=[[contrast for contrast in column if contrast is not None] for column in columns],
        texts=[each.text for group in groups for each in group],
        asked=sum(map(len, columns)),
    )


def _choose(pairs, proposals, samples: list[_Samples], select: Selector, critic: Critic) -> list[Table]:
    groups = [
        [SampledContrast(pair, aspect, contrast) for contrast in contrasts]
        for pair, proposal, sample in zip(pairs, proposals, samples, strict=True)
        for aspect, contrasts in zip(proposal.aspects, sample.contrasts, strict=True)
    ]
    chosen = iter(select([group for group in groups if group], critic))
    columns = iter([Column(group[0].aspect, group[next(chosen)].contrast) if group else None for group in groups])
    return [
        tuple(column for column in itertools.islice(columns, len(proposal.aspects)) if column) for proposal in proposals
    ]
