"""How well a model orders held-out responses, and how likely it finds the best of them."""

import functools
import math

import jax
import numpy as np

from experiments.align.methods import Method
from experiments.common.lists import MIN_GAP, Padded, over_prompts, padded, pairwise_accuracy
from experiments.common.stages import REFERENCE_BATCH
from experiments.common.task import Policy, Row, estimate
from jaxalign import data, models
from jaxalign.data import EncodedLists, PreferenceRecord
from jaxalign.io.cluster import processes
from jaxalign.io.report import Estimate
from jaxalign.numerics import Ratio

LIST_SIZE = 8  # responses that are scored at once
CAPTION = (
    f"Pairs of responses to one prompt whose labels differ by {MIN_GAP:g} or more. Length-matched: of similar length, "
    "where a rule such as 'longer wins' is of no use. Below a figure stand the ends of its 95 % bootstrap interval "
    "over prompts."
)


def logps(policy: Policy, lists: EncodedLists) -> np.ndarray:
    """``[N, n]`` nats of each response, its end included; NaN where a record has fewer."""
    return _scores(functools.partial(_response_logps, policy.model, policy.params), lists)


def rewards(reward: Policy, lists: EncodedLists) -> np.ndarray:
    """``[N, n]``: the reward of each response; NaN where a record has fewer."""
    return _scores(functools.partial(_response_rewards, reward.model, reward.params), lists)


def _scores(reward_fn, lists: EncodedLists) -> np.ndarray:
    size = min(LIST_SIZE, int(np.diff(lists.list_starts).max()))
    return data.score_lists(lists, reward_fn, batch_size=REFERENCE_BATCH, list_size=size, map_fn=processes.dealt)


_response_logps = jax.jit(models.response_logps, static_argnums=0)
_response_rewards = jax.jit(models.response_rewards, static_argnums=0)


def likelihood_row(found: np.ndarray, lists: EncodedLists) -> Row:
    """Nats per token of the best response to each prompt, its tokens counted over all prompts, and the perplexity."""
    firsts = lists.list_starts[:-1]
    best = np.array([int(np.argmax(lists.labels[a:b])) for a, b in zip(firsts, lists.list_starts[1:], strict=True)])
    tokens = np.diff(lists.response_starts)[firsts + best].astype(np.float32)
    nats = estimate(Ratio(-found[np.arange(len(lists)), best], tokens))
    perplexity = Estimate(*(float(np.exp(value)) for value in (nats.value, nats.low, nats.high)))
    return {"nats per token": nats, "perplexity": perplexity}


def order_row(scores: np.ndarray, seen: Padded) -> Row:
    """How often scores ``[N, n]`` order two responses as their labels do; a figure of no pair is left out."""
    scores = np.nan_to_num(scores)
    options = {"where": seen.where}
    found = {
        "pairwise accuracy": over_prompts(pairwise_accuracy, scores, seen.labels, **options),
        "length-matched": over_prompts(pairwise_accuracy, scores, seen.labels, **options, lengths=seen.lengths),
    }
    return {title: figure for title, figure in found.items() if not math.isnan(figure.value)}


def likelihood_order(logps: np.ndarray, seen: Padded) -> Row:
    """:func:`order_row` of the log-probabilities themselves, without a reference."""
    return {f"{title}, by likelihood": value for title, value in order_row(logps, seen).items()}


def single_row(ratios: np.ndarray, lists: EncodedLists) -> Row:
    """Counts how often the log-ratio of a single response to the reference has the sign that its label asks for."""
    counted = lists.labels[lists.list_starts[:-1]]
    right = (ratios[:, 0] > 0) == (counted > 0.5)
    return {"accuracy": estimate(Ratio(right.astype(np.float32), np.ones(len(right), np.float32)))}


def comparable(records: list[PreferenceRecord]) -> bool:
    """Says whether any two responses to one prompt can be told apart by their labels."""
    return any(max(record.labels) - min(record.labels) >= MIN_GAP for record in records)


def rules(records: list[PreferenceRecord]) -> dict[str, Row]:
    """What needs no model: the longer response wins."""
    seen = padded(records)
    return {"longer wins": order_row(seen.lengths, seen)}


def rows_of(
    method: Method,
    records: list[PreferenceRecord],
    lists: EncodedLists,
    scored: dict[str, np.ndarray],
    reference: np.ndarray | None,
) -> dict[str, Row]:
    """The table of a run: a row for each model.

    Args:
      records: what is held out.
      lists: the same as token ids.
      scored: ``[N, n]`` log-probabilities, or rewards, of each model, by the name of its row.
      reference: ``[N, n]`` log-probabilities of the reference; None without one.
    """
    if method.reads == "demonstrations":
        return {name: likelihood_row(found, lists) for name, found in scored.items()}
    if method.reads in ("unpaired", "mismatched"):
        return {
            name: single_row(found - reference, lists) | likelihood_row(found, lists) for name, found in scored.items()
        }
    seen, table = padded(records), rules(records)
    for name, found in scored.items():
        if method.reads == "rewards":
            table[name] = order_row(found, seen)
            continue
        by_reward = {} if reference is None else order_row(found - reference, seen)
        table[name] = {**by_reward, **likelihood_order(found, seen), **likelihood_row(found, lists)}
    return table
