"""Scorers that say how far one text follows from another, of which coherence is made."""

import math
import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from jaxalign.metrics import split_sentences
from jaxalign.metrics.similarity import embed_distinct
from jaxalign.planning.prompts import ENTAILMENT_OPTIONS, render_entailment
from jaxalign.prompting import option_probabilities
from jaxalign.typing import EmbedFn, ScoreOptionsFn

_LEADING_MARK = re.compile(r"^[ \t]*(?:#{1,6}|[-–*•])[ \t]+", re.MULTILINE)


@runtime_checkable
class EntailFn(Protocol):
    """Says of N pairs of texts how far each hypothesis follows from its premise.

    It returns one number in [0, 1] for each pair; NaN where it could not be read.
    """

    def __call__(self, premises: Sequence[str], hypotheses: Sequence[str]) -> Float[np.ndarray, "N"]: ...


def make_embedding_entailment(embed: EmbedFn, *, midpoint: float = 0.45, width: float = 0.07) -> EntailFn:
    """Makes a scorer of embeddings: the average over a hypothesis's sentences of how far the premise supports each.

    A sentence's likeness is its highest cosine with a sentence of the premise, or with the sum of two of them, since a
    summary's sentence often says what two sentences say. Its support is
    ``1 / (1 + exp((midpoint - likeness) / width))``: sentences about one subject are alike without following from each
    other.

    Headings and items of lists are sentences of their own, without their marks.

    Args:
      embed: gives each text an embedding, ``[N, D]``; every different sentence is embedded once for each call.
      midpoint: the likeness that counts one half.
      width: how fast support grows around it, above 0. Both defaults were chosen for all-MiniLM-L6-v2 on FreshWiki: of
        5 summaries of an article the true one is then the best in 71 of 75 cases, with plain cosines in 58.

    Returns:
      A scorer; a hypothesis without a sentence has NaN, and with a premise without any it has 0 within rounding.

    Raises:
      ValueError: the width is not above 0; or, in a call, an embedding is missing or not finite.
    """
    if not width > 0:
        raise ValueError(f"width: expected a number above 0, got {width}")

    def entail(premises: Sequence[str], hypotheses: Sequence[str]) -> Float[np.ndarray, "N"]:
        split = {text: _sentences(text) for text in dict.fromkeys((*premises, *hypotheses))}
        vectors = embed_distinct((each for sentences in split.values() for each in sentences), embed)
        rows = {text: [vectors[each] for each in sentences] for text, sentences in split.items()}
        pairs = zip(premises, hypotheses, strict=True)
        cosines = (_highest_cosines(rows[premise], rows[hypothesis]) for premise, hypothesis in pairs)
        # The logistic function, in a form that does not overflow.
        supports = ((1 + np.tanh((each - midpoint) / (2 * width))) / 2 for each in cosines)
        return np.array([support.mean() if len(support) else math.nan for support in supports])

    return entail


def make_model_entailment(score_options: ScoreOptionsFn) -> EntailFn:
    """Makes a scorer of a language model, which is asked whether each hypothesis follows: the probability of Yes.

    Args:
      score_options: scores " Yes" and " No" as answers to prompts.

    Returns:
      A scorer; where the model's scores cannot be read, NaN.
    """

    def entail(premises: Sequence[str], hypotheses: Sequence[str]) -> Float[np.ndarray, "N"]:
        prompts = [render_entailment(*pair) for pair in zip(premises, hypotheses, strict=True)]
        scores = score_options(prompts, [ENTAILMENT_OPTIONS] * len(prompts)) if prompts else []
        chances = map(option_probabilities, scores)
        return np.array([math.nan if each is None else each[0] for each in chances])

    return entail


def _sentences(text: str) -> list[str]:
    return split_sentences(_LEADING_MARK.sub("", text))


def _highest_cosines(
    premise: Sequence[Float[np.ndarray, "D"]], hypothesis: Sequence[Float[np.ndarray, "D"]]
) -> Float[np.ndarray, "N"]:
    """For each sentence of a hypothesis the highest cosine with one sentence of a premise, or the sum of two."""
    if not premise or not hypothesis:
        return np.full(len(hypothesis), -1.0)
    rows = np.stack(premise)
    # |u + v|^2 = 2 + 2 u.v for unit vectors; u + u has the direction of u, so the diagonal is each one alone.
    norms = np.sqrt(np.maximum(2 + 2 * rows @ rows.T, 1e-12))
    return np.array([((each[:, None] + each[None]) / norms).max() for each in np.stack(hypothesis) @ rows.T])
