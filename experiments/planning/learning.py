"""Supervised fine-tuning on mixtures of tasks, each on as many target tokens."""

import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.task import Policy
from jaxalign import data, planning, training
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.planning import PlannedArticle, Wording
from jaxalign.typing import Prompt, TokenBatch

MIXTURES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "T1": {"T1": 1},
        "T4": {"T4": 1},
        "T1 + T4": {"T1": 1, "T4": 1},
        "T1 + T3 + T4": {"T1": 1, "T3": 1, "T4": 1},
        "T2 + T3": {"T2": 1, "T3": 1},
    }
)
"""Shares of the examples by task; T2 + T3 learns to write in several turns."""


FEWEST = 64
"""Examples of an epoch for each row of a batch, however few articles there are."""


class Material(NamedTuple):
    """What all mixtures of a run learn from."""

    records: Sequence[PlannedArticle]
    tokenizer: HfTokenizer
    parts: tuple[str, ...]
    wording: Wording
    as_prompt: Callable[[str], Prompt]
    limits: tuple[int, int]  # tokens of a prompt and of a response


class Dials(NamedTuple):
    """How a mixture is learnt."""

    target_tokens: int  # that are learnt in all: responses, without prompts
    batch: tuple[int, int]  # rows, and tokens in each
    learning_rate: float
    adapter: stages.Adapter
    seed: int


def encode(material: Material, mixture: Mapping[str, float]) -> list[EncodedLists]:
    """Returns the examples of each task of a mixture as tokens."""
    return [
        data.encode_lists(
            (_prompted(planning.FORMATTERS[task](record, parts=material.parts, wording=material.wording), material)
             for record in material.records),
            material.tokenizer,
            max_prompt=material.limits[0],
            max_response=material.limits[1],
        )
        for task in mixture
    ]  # fmt: skip


def truncated(tasks: Sequence[EncodedLists]) -> tuple[int, int]:
    """Returns how many prompts and how many responses were cut."""
    return sum(t.report.prompts_truncated for t in tasks), sum(t.report.responses_truncated for t in tasks)


def make_batches(tasks: Sequence[EncodedLists], mixture: Mapping[str, float], dials: Dials) -> grain.IterDataset:
    """Returns the endless stream of a mixture."""
    examples = sum(len(task.response_starts) - 1 for task in tasks)
    return data.mixture_batches(
        tasks,
        list(mixture.values()),
        examples_per_epoch=max(examples, FEWEST * dials.batch[0]),
        batch_size=dials.batch[0],
        row_length=dials.batch[1],
        seed=dials.seed,
        **machines.share(),
    )


def steps_for(batches: grain.IterDataset[TokenBatch], target_tokens: int) -> tuple[int, int]:
    """Returns the fewest first batches that have so many target tokens, and how many they have."""
    counts = (int(np.sum(batch.loss_mask)) for batch in batches)
    for step, total in enumerate(itertools.accumulate(counts), 1):
        if total >= target_tokens:
            return step, total
    raise AssertionError("the stream has no end")


def learn(
    start: Policy, material: Material, name: str, dials: Dials, directory: pathlib.Path, key: Array
) -> tuple[Policy, dict[str, int]]:
    """Returns the policy that has learnt the mixture of this name, and what it was shown."""
    mixture = MIXTURES[name]
    tasks = encode(material, mixture)
    batches = make_batches(tasks, mixture, dials)
    steps, tokens = steps_for(batches, dials.target_tokens)
    policy = stages.train(
        start,
        material.tokenizer,
        batches,
        training.make_sft_loss(start.model),
        directory,
        key,
        adapter=dials.adapter,
        steps=steps,
        learning_rate=dials.learning_rate,
    )
    prompts, responses = truncated(tasks)
    told = {"steps": steps, "target tokens": tokens, "prompts cut": prompts, "responses cut": responses}
    return policy, told


def _prompted(record: PreferenceRecord, material: Material) -> PreferenceRecord:
    return PreferenceRecord(material.as_prompt(record.prompt), record.responses, record.labels, id=record.id)
