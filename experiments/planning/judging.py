"""Two articles side by side: which is better in organisation, relevance, verifiability and coherence.

A judge sees both orders. Raw verdicts reward length where the judge does; so each pair is judged a second time with
both articles cut to as many words. An article that is not there loses against one that is, without asking anybody.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common.task import Row, exactly
from jaxalign import planning
from jaxalign.data import PreferencePair
from jaxalign.judge import JudgeFn, JudgeTask
from jaxalign.numerics import Ratio

ASPECTS: Mapping[str, JudgeTask] = MappingProxyType(
    {
        "organisation": JudgeTask("Which response has its sections and paragraphs in the better order?"),
        "relevance": JudgeTask("Which response keeps better to the subject, without digressions and repetitions?"),
        "verifiability": JudgeTask(
            "Which response states more facts that a reader could check, such as names and dates?"
        ),
        "coherence": JudgeTask("Which response reads better as one text, each sentence following from those before?"),
    }
)
"""What the paper's raters were asked about; the wording is ours."""
RAW, MATCHED = "raw", "length-matched"


class SideBySide(NamedTuple):
    """What judges say of a method against the baseline.

    Attributes:
      rates: shares of wins, ties being halves, by aspect and by raw or matched, ``[N]``.
      unread: judgements that could not be read, which are in no rate.
      without: pairs in which an article is missing.
      longer: how many words the method's articles have for each of the baseline's.
    """

    rates: Mapping[tuple[str, str], Ratio]
    unread: int
    without: int
    longer: float


def compare(
    judges: Mapping[str, JudgeFn], xs: Sequence[str], articles: Sequence[str], baseline: Sequence[str]
) -> SideBySide:
    """Judges each article against the baseline's on the same subject.

    Args:
      judges: a judge for each aspect.
      xs: what was asked for.
      articles: of the method, "" where there is none.
      baseline: of the baseline, likewise.
    """
    raw = [(a.strip(), b.strip()) for a, b in zip(articles, baseline, strict=True)]
    there = np.array([bool(a) and bool(b) for a, b in raw])
    # Without a text for one of them the other wins; without both it is a tie.
    known = np.array([0.5 + 0.5 * (bool(a) - bool(b)) for a, b in raw], np.float32)
    rates, unread = {}, 0
    for kind, pairs in ((RAW, raw), (MATCHED, [planning.match_words(a, b) for a, b in raw])):
        asked = [PreferencePair(x, *pair, 0.5) for x, pair, both in zip(xs, pairs, there, strict=True) if both]
        for aspect, judge in judges.items():
            judged = iter(judge(asked) if asked else [])
            shares = [next(judged).probability if both else share for both, share in zip(there, known, strict=True)]
            read = np.array([share is not None for share in shares])
            unread += int(np.sum(~read))
            values = np.array([0.0 if share is None else share for share in shares], np.float32)
            rates[aspect, kind] = Ratio(jnp.asarray(values), jnp.asarray(read, jnp.float32))
    words = [sum(len(text.split()) for text in side) for side in zip(*raw, strict=True)]
    return SideBySide(rates, unread, int(np.sum(~there)), words[0] / max(words[1], 1))


def row(found: SideBySide, estimates) -> Row:
    """Returns the rates as figures of a table, raw and matched of each aspect, and what they rest on."""
    rates = estimates({f"{aspect}, {kind}": rate for (aspect, kind), rate in found.rates.items()})
    more = {
        "words of its articles for each of the baseline's": exactly(found.longer),
        "without an article": exactly(found.without),
        "unread": exactly(found.unread),
    }
    return rates | more
