"""Held-out figures of a student: how good its texts are, and whether its likelihood ranks texts of known quality."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import report
from experiments.common.lists import over_prompts
from experiments.common.stages import make_logps_fn
from experiments.common.task import Policy, Row, mean_over_prompts
from experiments.plad.methods import METHODS
from jaxalign import data, metrics
from jaxalign.data import EncodedLists
from jaxalign.io.cluster import processes
from jaxalign.io.report import Curves, Section
from jaxalign.io.report.figures import Series

SCORED = 8  # lists whose responses are scored at once


def sections(folders: Mapping[str, pathlib.Path], reliability: Series) -> list[Section]:
    """Draws the losses, the log-probabilities of the texts of pairs, and quality by likelihood.

    Args:
      folders: of the first seed, by method.
      reliability: lines of :func:`likelihood_curve`, by policy; none where no quality is known.
    """
    rounds = {method: its for method, folder in folders.items() if (its := training_folders(folder))}
    pairs = {method: its for method, its in rounds.items() if METHODS[method].calibrates}
    drawn: list[Section] = [report.draw(report.Curve("Loss of each method", "loss", rounds))]
    if pairs:
        sides = {"preferred": "chosen", "other": "rejected"}
        curves = [
            report.Curve(f"Log-probability of the {side} text, nats", metric, pairs, "nats")
            for side, metric in sides.items()
        ]
        drawn.append(report.draw_together("Log-probability of the texts of a pair", curves))
    if reliability:
        axes = "likelihood per token (geometric mean)", "mean quality"
        drawn.append(Curves("Quality of known texts by their likelihood, first seed", reliability, *axes))
    return drawn


def training_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of a method's trainings, in the order of its rounds."""
    return sorted((path.parent for path in folder.rglob("summary.json")), key=lambda place: (len(place.name), place))


def rouge_l(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Computes F of each text against its reference."""
    return np.asarray(metrics.rouge(texts, references, types=["rougeL"])["rougeL"].f1.numerator)


def text_figures(texts: Sequence[Sequence[str]], references: Sequence[str]) -> Row:
    """Computes ROUGE-L F against one reference a prompt, and length in words."""
    flat = [(text, reference) for row, reference in zip(texts, references, strict=True) for text in row]
    scores = rouge_l(*map(list, zip(*flat, strict=True))).reshape(len(texts), -1)
    words = [[len(text.split()) for text in row] for row in texts]
    return {"ROUGE-L": mean_over_prompts(scores), "words": mean_over_prompts(np.array(words))}


def quality_figures(
    greedy: np.ndarray, sampled: np.ndarray, logps: np.ndarray, of_teacher: np.ndarray, words: np.ndarray
) -> Row:
    """Computes quality by how texts are chosen: the greedy one, a sample, the best and the likeliest of some samples.

    Args:
      greedy: ``[prompts, 1]``, quality of the greedy text.
      sampled: ``[prompts, n]``, quality of n samples.
      logps: ``[prompts, n]``, the policy's own log-probabilities of these samples, nats.
      of_teacher: ``[prompts, n]``, quality of as many samples of the teacher.
      words: ``[prompts, n]``, words of the samples.
    """
    count = sampled.shape[1]
    best_of = _best_of(count)
    return {
        "greedy": mean_over_prompts(greedy),
        "sampled": mean_over_prompts(sampled),
        f"best of {count}": over_prompts(best_of, sampled, sampled),
        f"likeliest of {count}": over_prompts(best_of, logps, sampled),
        "win rate against teacher": mean_over_prompts(0.5 + 0.5 * np.sign(sampled - of_teacher)),
        "words": mean_over_prompts(words),
    }


@functools.cache  # equal ones share a program
def _best_of(count: int):
    return functools.partial(metrics.best_of_n_metric, n=count)


class Graded(NamedTuple):
    """Responses of known quality under a policy, each ``[N, n]``."""

    logps: np.ndarray  # nats
    quality: np.ndarray
    lengths: np.ndarray  # tokens
    where: np.ndarray


def grade(policy: Policy, graded: EncodedLists) -> Graded:
    """Computes the log-probability of each response of the lists, beside its quality."""
    logps = score(policy, graded)
    where = np.isfinite(logps)
    quality, lengths = np.zeros(logps.shape, np.float32), np.ones(logps.shape, np.float32)
    quality[where], lengths[where] = graded.labels, np.diff(graded.response_starts)
    return Graded(np.nan_to_num(logps), quality, lengths, where)


def logps_of(policy: Policy, prompts: EncodedLists, tokens: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """Computes the policy's log-probability of each text, ``[prompts, n]``, nats, from the token ids of n to each."""
    rows = [prompts.prompt(number) for number in range(len(prompts))]
    labels = [[0.0] * len(row) for row in tokens]
    lists = data.lists_from_tokens(rows, tokens, labels, pad_id=prompts.pad_id, limits=prompts.limits)
    return score(policy, lists)


def score(policy: Policy, lists: EncodedLists) -> np.ndarray:
    """Computes the policy's log-probability of each response, ``[N, n]``, nats; NaN where a list has fewer."""
    sizes = {"batch_size": SCORED, "list_size": 2}
    return data.score_lists(lists, make_logps_fn(policy), **sizes, map_fn=processes.dealt)


def likelihood_figures(graded: Graded) -> Row:
    """Computes Kendall's tau between log-probabilities, of responses and per token, and known quality."""
    logps, quality, lengths, where = graded
    return {
        "tau of likelihood": over_prompts(metrics.kendall_tau_metric, logps, quality, where=where),
        "tau per token": over_prompts(metrics.kendall_tau_metric, logps / lengths, quality, where=where),
    }


def likelihood_curve(graded: Graded) -> tuple[np.ndarray, np.ndarray]:
    """Averages likelihood per token and quality in bins of as many responses each: a curve that should rise."""
    logps, quality, lengths, where = map(jnp.asarray, graded)
    edges = metrics.likelihood_edges(logps / lengths, where=where)
    table = metrics.likelihood_table(logps / lengths, quality, edges=edges, where=where)
    return report.reliability_line(table)  # likelihoods that are equal leave bins empty
