"""A number for every response of encoded lists, and labels from a reward model that compares or scores responses."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxalign.data.batches.lists import Bucket, all_responses, check_buckets, make_list_batch, plan_batches
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.losses import labels_from_preferences, preferences_from_rewards
from jaxalign.typing import PreferenceFn, RewardFn

MapFn = Callable[[Callable[[Any], np.ndarray], list[Any]], Iterable[np.ndarray]]
"""``map_fn(fn, items)``: how batches are computed, :func:`map` or one that deals them out over processes."""


def score_lists(
    lists: EncodedLists,
    reward_fn: RewardFn,
    *,
    batch_size: int,
    list_size: int,
    buckets: Sequence[Bucket] | None = None,
    map_fn: MapFn = map,
) -> Float[np.ndarray, "N n"]:
    """Returns the reward or log-probability of every response, each computed once.

    Args:
      lists: N encoded records with up to n responses.
      reward_fn: for instance a jitted ``models.response_logps`` with its model bound; called with ``batch_size`` lists
        of ``list_size`` responses, of which those count where ``where`` is True.
      batch_size: lists of a batch.
      list_size: K; a record with more responses takes several lists.
      buckets: static shapes (P, R) of batches, tokens of a prompt and of a response, each at least as large as the one
        before in both; None is one shape, the limits of the encoding.
      map_fn: how batches are computed, for instance ``jaxalign.io.cluster.processes.dealt``.

    Returns:
      ``[N, n]`` float32, NaN where a record has fewer responses.

    Raises:
      ValueError: naming record and response, if a number is not finite.
    """
    sizes = {"batch_size": batch_size, "list_size": list_size, "buckets": buckets}
    scores = raw_scores(lists, reward_fn, **sizes, map_fn=map_fn)
    for record, count in enumerate(np.diff(lists.list_starts)):
        if problem := not_finite(scores[record, :count]):
            raise ValueError(f"{problem} of record {record}, counted from 0; correct the text or leave the record out")
    return scores


def raw_scores(
    lists: EncodedLists,
    reward_fn: RewardFn,
    *,
    batch_size: int,
    list_size: int,
    buckets: Sequence[Bucket] | None = None,
    map_fn: MapFn = map,
) -> Float[np.ndarray, "N n"]:
    """:func:`score_lists` without its check."""
    scores = np.full((len(lists), np.diff(lists.list_starts).max()), np.nan, np.float32)
    selection = all_responses(lists, list_size)
    planned = list(plan_batches(lists, selection, check_buckets(lists, buckets), batch_size, False))

    def rewards(plan) -> np.ndarray:
        batch = make_list_batch(lists, None, *plan, batch_size)
        values = np.asarray(reward_fn(batch), np.float32)
        if values.shape != batch.where.shape:
            raise ValueError(
                f"expected a number for each response, an array of shape {batch.where.shape}, got {values.shape}"
            )
        return values

    for (_, chosen), values in zip(planned, map_fn(rewards, planned), strict=True):
        values, real = values[: len(chosen.records)], chosen.responses >= 0
        scores[np.broadcast_to(chosen.records[:, None], real.shape)[real], chosen.responses[real]] = values[real]
    return scores


def not_finite(scores: Float[np.ndarray, "n"]) -> str:
    """What is wrong with the first number that is not finite; empty if all are."""
    if (bad := np.flatnonzero(~np.isfinite(scores))).size:
        return f"the model gives {scores[bad[0]]}, not a finite number, to response {bad[0]}"
    return ""


def compare_lists(
    lists: EncodedLists,
    preference_fn: PreferenceFn,
    *,
    batch_size: int,
    buckets: Sequence[Bucket] | None = None,
    map_fn: MapFn = map,
) -> Float[np.ndarray, "N n n"]:
    """Returns comparisons of every two responses of a list, as the model gives them: at [i, j] with i shown first.

    Args:
      lists: N encoded records with up to n responses, as ``preference_fn`` wants them, for instance from
        :func:`~jaxalign.data.encode_comparison_lists`.
      preference_fn: called with ``batch_size`` lists of n responses, as many as the longest list has.
      batch_size: lists of a batch.
      buckets: static shapes (P, R) of batches, tokens of a prompt and of a response, each at least as large as the one
        before in both; None is one shape, the limits of the encoding.
      map_fn: how batches are computed, for instance ``jaxalign.io.cluster.processes.dealt``.

    Returns:
      Probabilities that response i beats j, ``[N, n, n]`` float32: 1/2 on the diagonal, NaN where a record has fewer
      responses.

    Raises:
      ValueError: naming record and response, if a probability is not finite.
    """
    longest = int(np.diff(lists.list_starts).max())
    preferences = np.full((len(lists), longest, longest), np.nan, np.float32)
    selection = all_responses(lists, longest)
    planned = list(plan_batches(lists, selection, check_buckets(lists, buckets), batch_size, False))

    def comparisons(plan) -> np.ndarray:
        batch = make_list_batch(lists, None, *plan, batch_size)
        values = np.asarray(preference_fn(batch), np.float32)
        if values.shape != (*batch.where.shape, longest):
            raise ValueError(
                f"expected a probability for each two responses, an array of shape {(*batch.where.shape, longest)}, "
                f"got {values.shape}"
            )
        return values

    for (_, chosen), values in zip(planned, map_fn(comparisons, planned), strict=True):
        for record, matrix in zip(chosen.records, values, strict=False):
            count = int(lists.list_starts[record + 1] - lists.list_starts[record])
            own = np.where(np.eye(count, dtype=bool), np.float32(0.5), matrix[:count, :count])
            if (bad := np.argwhere(~np.isfinite(own))).size:
                first, second = bad[0]
                raise ValueError(
                    f"the model gives {own[first, second]}, not a probability, for response {first} against response "
                    f"{second} of record {record}, counted from 0; correct the text or leave the record out"
                )
            preferences[record, :count, :count] = own
    return preferences


def label_lists(
    lists: EncodedLists,
    preference_fn: PreferenceFn,
    *,
    batch_size: int,
    buckets: Sequence[Bucket] | None = None,
    map_fn: MapFn = map,
) -> Float[np.ndarray, "N n"]:
    """Returns labels from :func:`compare_lists`, both orders averaged: the share of its list that each response beats.

    Args:
      lists: N encoded records with up to n responses, as ``preference_fn`` wants them, for instance from
        :func:`~jaxalign.data.encode_comparison_lists`.
      preference_fn: called with ``batch_size`` lists of n responses, as many as the longest list has.
      batch_size: lists of a batch.
      buckets: static shapes (P, R) of batches, tokens of a prompt and of a response, each at least as large as the one
        before in both; None is one shape, the limits of the encoding.
      map_fn: how batches are computed, for instance ``jaxalign.io.cluster.processes.dealt``.

    Returns:
      ``[N, n]`` in [0, 1], NaN where a record has fewer responses. A record with one response has the label 1/2. They
      may go to other lists of the same records, see :func:`relabel`.

    Raises:
      ValueError: naming record and response, if a probability is not finite.

    Source: LiPO (arXiv 2402.01878), labels from a pairwise reward-ranking model.
    """
    preferences = compare_lists(lists, preference_fn, batch_size=batch_size, buckets=buckets, map_fn=map_fn)
    where = np.arange(preferences.shape[1]) < np.diff(lists.list_starts)[:, None]
    labels = labels_from_preferences(jnp.asarray(np.nan_to_num(preferences)), where=jnp.asarray(where))
    return np.where(where, labels, np.float32(np.nan))


def relabel(lists: EncodedLists, labels: Float[np.ndarray, "N n"]) -> EncodedLists:
    """Returns the lists with other labels; a file of reference log-probabilities stays valid.

    Args:
      lists: N encoded records with up to n responses.
      labels: by record and response, in [0, 1], NaN where a record has fewer responses.

    Raises:
      ValueError: if there are other records or responses than labels, or labels outside [0, 1].
    """
    counts = np.diff(lists.list_starts)
    given = np.isfinite(labels)
    in_front = given == (np.arange(labels.shape[1]) < given.sum(axis=1, keepdims=True))
    if len(labels) != len(lists) or (given.sum(axis=1) != counts).any() or not in_front.all():
        raise ValueError(
            f"expected labels for {len(lists)} records with {counts.min()} to {counts.max()} responses, NaN where a "
            f"record has fewer, got {len(labels)} rows with {given.sum(axis=1).min()} to {given.sum(axis=1).max()}"
        )
    flat = labels[given].astype(np.float32)
    if flat.min() < 0 or flat.max() > 1:
        raise ValueError(f"expected labels in [0, 1], got {flat.min()} to {flat.max()}; rescale scores")
    return dataclasses.replace(lists, labels=flat)


def make_preference_fn(reward_fn: RewardFn) -> PreferenceFn:
    """Makes comparisons of a reward model that scores each response by itself: the sigmoid of the differences.

    Args:
      reward_fn: gives rewards ``[B, K]`` of a batch of lists.

    Returns:
      A function of a batch that gives ``[B, K, K]``: at [i, j] the probability that response i beats j.
    """

    def preference_fn(batch):
        return preferences_from_rewards(jnp.asarray(reward_fn(batch)))

    return preference_fn
