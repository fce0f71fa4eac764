"""Labels by a pairwise reward model, the middle of LiPO's pipeline (arXiv 2402.01878)."""

import dataclasses
import pathlib

import jax
import numpy as np
from jaxtyping import Array

from experiments.common.rewards.kinds import make_preference_fn, train_comparisons
from experiments.common.task import Policy, Task
from jaxalign import data
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.io.cluster import processes

LABEL_BATCH = 16  # lists that are labelled at once


@dataclasses.dataclass(frozen=True)
class Relabelled:
    """Lists with new labels, and how often these order two responses as the old ones do."""

    lists: EncodedLists
    agreement: float


def relabel(
    task: Task,
    lists: EncodedLists,
    sft: Policy,
    directory: pathlib.Path,
    key: Array,
    *,
    batch: int,
    steps: int,
    learning_rate: float,
) -> Relabelled:
    """Trains a reward model, from the SFT policy on, on preferences for other prompts, and labels the lists by it.

    Each of ``steps`` takes ``batch`` comparisons.
    """
    sample_key, train_key = jax.random.split(key)
    # What the markers around prompt and responses take is not the text's.
    limits = {"max_prompt": lists.limits[0] + 2, "max_response": lists.limits[1]}
    form = data.comparison_format(task.tokenizer)
    preferences = task.preferences(sft, sample_key)
    encoded = data.encode_comparison_lists(preferences, task.tokenizer, form, **limits)
    sizes = {"batch": batch, "steps": steps, "learning_rate": learning_rate}
    judge = train_comparisons(task, form, encoded, sft, directory, train_key, **sizes)
    asked = data.encode_comparison_lists(decode(lists, task.tokenizer), task.tokenizer, form, **limits)
    labels = data.label_lists(asked, make_preference_fn(judge, form), batch_size=LABEL_BATCH, map_fn=processes.dealt)
    return Relabelled(data.relabel(lists, labels), agreement(labels, lists))


def decode(lists: EncodedLists, tokenizer: HfTokenizer) -> list[PreferenceRecord]:
    """Returns the texts of encoded lists."""
    return [
        PreferenceRecord(
            tokenizer.decode(lists.prompt(n)),
            tuple(tokenizer.decode(lists.response(m)) for m in range(*lists.list_starts[n : n + 2])),
            tuple(lists.labels[slice(*lists.list_starts[n : n + 2])].tolist()),
        )
        for n in range(len(lists))
    ]


def agreement(labels: np.ndarray, lists: EncodedLists) -> float:
    """Computes the share of the pairs that the old labels order which the new ones order alike."""
    old, new = np.split(lists.labels, lists.list_starts[1:-1]), [row[np.isfinite(row)] for row in labels]
    signs = [
        (np.sign(a[:, None] - a[None, :]), np.sign(b[:, None] - b[None, :])) for a, b in zip(old, new, strict=True)
    ]
    right = sum(((a == b) & (a != 0)).sum() for a, b in signs)
    return float(right / max(sum((a != 0).sum() for a, _ in signs), 1))
