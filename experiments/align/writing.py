"""Responses to held-out prompts, and what a reward model says of those of two policies."""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from experiments.align import figures, start
from experiments.align.reading import prompt_key
from experiments.align.settings import Config
from experiments.common import report, stages
from experiments.common.task import Policy, Row, estimate
from jaxalign import data, metrics, models, sampling
from jaxalign.data import HfTokenizer, PreferenceRecord
from jaxalign.data.text.comparisons import render_context
from jaxalign.io import hf
from jaxalign.io.cluster import launch
from jaxalign.numerics import Ratio

BATCH = 32  # prompts that are answered at once
JUDGED = "judged.jsonl"
"""The file of the run's folder with the responses that ``--judge`` read."""


class Writer:
    """Writes the likeliest response to each of some prompts, up to ``--sample-tokens``."""

    def __init__(self, config: Config, records: list[PreferenceRecord], tokenizer: HfTokenizer):
        self._config, self._tokenizer = config, tokenizer
        self._prompts = [render_context(record.prompt) for record in records]
        limits = {"max_prompt": config.reading.limits[0], "max_response": config.reading.limits[1]}
        self._lists = data.encode_lists([record.unanswered() for record in records], tokenizer, **limits)
        self._width = -(-start.longest(self._lists)[0] // start.ROUND) * start.ROUND

    def __call__(self, policy: Policy) -> list[dict[str, str]]:
        """Each prompt with the response to it."""
        responses = [text for tokens, mask in self._batches() for text in self._write(policy, tokens, mask)]
        return [{"prompt": prompt, "response": text} for prompt, text in zip(self._prompts, responses, strict=False)]

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Prompts in rows; the last batch is filled up with the last prompt."""
        count = len(self._lists)
        size = min(BATCH, count)
        for first in range(0, count, size):
            tokens = np.full((size, self._width), self._lists.pad_id, np.int32)
            mask = np.zeros(tokens.shape, bool)
            for row in range(size):
                ids = self._lists.prompt(min(first + row, count - 1))
                tokens[row, : len(ids)], mask[row, : len(ids)] = ids, True
            yield tokens, mask

    def _write(self, policy: Policy, tokens: np.ndarray, mask: np.ndarray) -> list[str]:
        samples = sampling.generate(
            policy.model,
            policy.params,
            tokens,
            mask,
            jax.random.key(0),
            num_samples=1,
            max_new_tokens=self._config.sample_tokens,
            eos_id=self._tokenizer.end_ids,
            rule=sampling.greedy,
        )
        rows = jax.device_get((samples.tokens[:, 0], samples.mask[:, 0]))
        return [self._tokenizer.decode(ids[real]) for ids, real in zip(*rows, strict=True)]


def judged(
    config: Config, records: list[PreferenceRecord], tokenizer: HfTokenizer, before: Policy, after: Policy
) -> dict[str, Row]:
    """What ``--judge`` makes of responses to all held-out prompts: how often it rates those after training higher.

    Reward models like length, so the characters of a response stand beside the win rate. Texts and rewards are in
    ``OUTPUT/judged.jsonl``.

    Raises:
      ValueError: the judge is no reward model.
    """
    prompts = list({prompt_key(record): record for record in records}.values())
    writer = Writer(config, prompts, tokenizer)
    said = {name: writer(policy) for name, policy in (("start", before), ("aligned", after))}
    scores = {name: _rewards(config, prompts, [each["response"] for each in texts]) for name, texts in said.items()}
    wins = jax.vmap(metrics.win_rate_metric)(scores["aligned"], scores["start"])
    if launch.is_main():
        report.write_predictions(config.output / JUDGED, judged_rows(said, scores))
    rows = {name: {"characters": _mean([len(each["response"]) for each in texts])} for name, texts in said.items()}
    rows["aligned"]["win rate"] = estimate(wins)
    return rows


def judged_rows(said: Mapping[str, list[dict[str, str]]], scores: Mapping[str, np.ndarray]) -> Iterator[dict]:
    """A row a prompt: what each model wrote, and its reward."""
    for place, start_text in enumerate(said["start"]):
        texts = {name: written[place]["response"] for name, written in said.items()}
        yield {
            "prompt": start_text["prompt"],
            **texts,
            "rewards": {name: float(s[place]) for name, s in scores.items()},
        }


def _rewards(config: Config, records: list[PreferenceRecord], responses: list[str]) -> np.ndarray:
    """The judge's reward of one response to each prompt."""
    judge = stages.computing(stages.load_policy(config.judge), config.training.computing)
    if not isinstance(judge.model.config, models.RewardConfig):
        raise ValueError(f"--judge {config.judge}: expected a reward model, such as --loss reward makes; got a policy")
    half = judge.model.config.backbone.max_length // 2
    limits = [min(length, half) for length in (config.reading.limits[0], 2 * config.sample_tokens)]
    answered = [
        PreferenceRecord(record.prompt, (response,), (1.0,))
        for record, response in zip(records, responses, strict=True)
    ]
    tokenizer = data.load_tokenizer(hf.resolve(config.judge))
    lists = data.encode_reward_lists(answered, tokenizer, max_prompt=limits[0], max_response=limits[1])
    return figures.rewards(judge, lists)[:, 0]


def _mean(values: list[int]):
    return estimate(Ratio(np.asarray(values, np.float32), np.ones(len(values), np.float32)))
