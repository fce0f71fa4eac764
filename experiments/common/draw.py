"""Sampling responses to many prompts, batch by batch, the batches dealt out over processes."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array

from experiments.common.task import Policy
from jaxalign import sampling
from jaxalign.data import EncodedLists
from jaxalign.io.cluster import processes

RULE = sampling.sample(sampling.temperature(0.7), sampling.top_k(40))  # the LiPO paper's sampling
BATCH = 128  # prompts at once


def draw(
    policy: Policy,
    prompts: EncodedLists,
    key: Array,
    *,
    num_samples: int,
    end_ids: tuple[int, ...],
    rule: sampling.Rule = RULE,
) -> list[list[Sequence[int]]]:
    """Samples ``num_samples`` responses to each prompt: token ids, with that of ``end_ids`` where there was one.

    Args:
      rule: how a token is chosen, for instance ``sampling.greedy``.
    """
    width, max_new_tokens = prompts.limits

    def draw_batch(start: int) -> list[list[Sequence[int]]]:
        rows = np.full((min(BATCH, len(prompts)), width), prompts.pad_id, np.int32)
        mask = np.zeros(rows.shape, bool)
        count = min(len(rows), len(prompts) - start)
        for row in range(count):
            prompt = prompts.prompt(start + row)
            rows[row, : len(prompt)], mask[row, : len(prompt)] = prompt, True
        samples = sampling.generate(
            policy.model,
            policy.params,
            rows,
            mask,
            jax.random.fold_in(key, start),
            num_samples=num_samples,
            max_new_tokens=max_new_tokens,
            eos_id=end_ids,
            rule=rule,
        )
        samples = jax.device_get(samples)
        return [[t[m] for t, m in zip(samples.tokens[row], samples.mask[row], strict=True)] for row in range(count)]

    return [row for batch in processes.dealt(draw_batch, range(0, len(prompts), BATCH)) for row in batch]
