"""Held-out figures of a student: its texts beside references, and whether likelihood ranks texts of known quality."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import report
from experiments.common.lists import over_prompts
from experiments.common.stages import REFERENCE_BATCH, make_logps_fn
from experiments.common.task import Policy, Row, mean_over_prompts
from experiments.plad.methods import METHODS
from jaxalign import data, metrics
from jaxalign.data import EncodedLists
from jaxalign.io.cluster import processes
from jaxalign.io.report import Curves, Section
from jaxalign.io.report.figures import Series


def sections(folders: Mapping[str, pathlib.Path], reliability: Series) -> list[Section]:
    """Draws the losses, the log-probabilities of the texts of pairs, and quality by likelihood.

    Args:
      folders: of the first seed, by method.
      reliability: lines of :func:`likelihood_curve`, by policy; none where no quality is known.
    """
    folders = {method: folder for method, folder in folders.items() if METHODS[method].rounds == 1}
    pairs = {method: folder for method, folder in folders.items() if "pairs" in METHODS[method].learns_from}
    drawn: list[Section] = [report.draw(report.Curve("Loss of each method", "loss", folders))]
    if pairs:
        sides = {"preferred": "chosen", "other": "rejected"}
        curves = [
            report.Curve(f"Log-probability of the {side} text, nats", metric, pairs, "nats")
            for side, metric in sides.items()
        ]
        drawn.append(report.draw_together("Log-probability of the texts of a pair", curves))
    if reliability:
        axes = "likelihood per token (geometric mean)", "mean quality"
        drawn.append(Curves("Quality of known texts by their likelihood, seed 0", reliability, *axes))
    return drawn


def rouge_l(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Computes F of each text against its reference."""
    return np.asarray(metrics.rouge(texts, references, types=["rougeL"])["rougeL"].f1.numerator)


def text_figures(texts: Sequence[Sequence[str]], references: Sequence[str]) -> Row:
    """Computes ROUGE-L F against one reference a prompt, and length in words."""
    flat = [(text, reference) for row, reference in zip(texts, references, strict=True) for text in row]
    scores = rouge_l(*map(list, zip(*flat, strict=True))).reshape(len(texts), -1)
    words = [[len(text.split()) for text in row] for row in texts]
    return {"ROUGE-L": mean_over_prompts(scores), "words": mean_over_prompts(np.array(words))}


class Graded(NamedTuple):
    """Responses of known quality under a policy, each ``[N, n]``."""

    logps: np.ndarray  # nats
    quality: np.ndarray
    lengths: np.ndarray  # tokens
    where: np.ndarray


def grade(policy: Policy, graded: EncodedLists) -> Graded:
    """Computes the log-probability of each response of the lists, beside its quality."""
    logps = data.score_lists(
        graded, make_logps_fn(policy), batch_size=REFERENCE_BATCH, list_size=2, map_fn=processes.dealt
    )
    where = np.isfinite(logps)
    quality, lengths = np.zeros(logps.shape, np.float32), np.ones(logps.shape, np.float32)
    quality[where], lengths[where] = graded.labels, np.diff(graded.response_starts)
    return Graded(np.nan_to_num(logps), quality, lengths, where)


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
