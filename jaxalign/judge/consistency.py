"""The consistency comparator: which of two contrasts of the same texts is true to them and tells them apart."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data import PreferencePair
from jaxalign.judge import prompts
from jaxalign.judge.contrasts import Contrast
from jaxalign.judge.selection import Critic
from jaxalign.prompting import both_orders, option_probabilities
from jaxalign.prompting.options import NormaliseFn
from jaxalign.typing import ScoreOptionsFn


class SampledContrast(NamedTuple):
    """A contrast that a model wrote of a pair, in the order in which the pair stands.

    Attributes:
      pair: the two texts and their prompt.
      aspect: in which they are compared.
      contrast: what was written.
    """

    pair: PreferencePair
    aspect: str
    contrast: Contrast


Match = tuple[SampledContrast, SampledContrast]


def make_critic(
    score_options: ScoreOptionsFn, task: prompts.JudgeTask, *, normalise_fn: NormaliseFn = option_probabilities
) -> Critic:
    """Makes the consistency comparator of SC2, which compares and rates contrasts.

    A contrast that contradicts itself, because one statement stands in two of its parts, loses to one with fewer such
    statements whatever the model says, and is not asked about. Otherwise ``prefer`` is the model's probability,
    averaged over both orders of presentation, so that ``q(c over c') = 1 - q(c' over c)`` exactly; ``rate`` is its
    probability of Yes, less 1 for each contradiction. Both are None where scores could not be read.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      task: the question, and what the texts are called.
      normalise_fn: makes probabilities of the scores of a prompt's options.

    Returns:
      A critic of :class:`SampledContrast`.

    Source: SC2 (arXiv 2311.08390), the pairwise consistency comparator; the rule on contradictions is ours.
    """

    def prefer(matches: Sequence[Match]) -> list[float | None]:
        known = [_by_contradictions(match) for match in matches]
        asked = [match for match, chance in zip(matches, known, strict=True) if chance is None]
        plain, swapped = ([render(match) for match in each] for each in (asked, [match[::-1] for match in asked]))
        orders = iter(both_orders(score_options, plain, swapped, prompts.MATCH_OPTIONS, normalise_fn))
        return [next(orders).probability if chance is None else chance for chance in known]

    def render(match: Match) -> str:
        first, second = match
        return prompts.render_match(task, first.pair, first.aspect, first.contrast, second.contrast)

    def rate(candidates: Sequence[SampledContrast]) -> list[float | None]:
        asked = [prompts.render_rating(task, *candidate) for candidate in candidates]
        scores = score_options(asked, [prompts.RATING_OPTIONS] * len(asked)) if asked else []
        shares = map(normalise_fn, scores)
        return [
            None if share is None else share[0] - candidate.contrast.contradictions
            for candidate, share in zip(candidates, shares, strict=True)
        ]

    return Critic(prefer, rate)


def _by_contradictions(match: Match) -> float | None:
    first, second = (candidate.contrast.contradictions for candidate in match)
    return None if first == second else float(first < second)
