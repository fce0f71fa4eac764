"""Judges without structure: the model asked outright, after a chain of thought, several times, and mere length."""

from collections.abc import Sequence

from jaxalign.data import PreferencePair
from jaxalign.judge import prompts
from jaxalign.judge.verdicts import JudgeFn, Judgement, antisymmetric
from jaxalign.prompting import Orders, both_orders, option_probabilities, parse_verdict
from jaxalign.prompting.options import NormaliseFn, check_counts
from jaxalign.typing import GenerateFn, ScoreOptionsFn


def make_direct_judge(
    score_options: ScoreOptionsFn, task: prompts.JudgeTask, *, normalise_fn: NormaliseFn = option_probabilities
) -> JudgeFn:
    """Makes a judge that asks outright which text is better, in both orders, and takes the probabilities of A and B.

    Scores that could not be read, in one order or in both, make the judgement unparsed.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      task: the question, and what the texts are called.
      normalise_fn: makes probabilities of the scores of a prompt's options.
    """

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        orders = both_orders(
            score_options,
            [prompts.render_verdict(task, pair) for pair in pairs],
            [prompts.render_verdict(task, pair.swapped()) for pair in pairs],
            prompts.TEXT_OPTIONS,
            normalise_fn,
        )
        return [Judgement(each.probability, each) for each in orders]

    return antisymmetric(judge)


def make_reasoning_judge(
    generate: GenerateFn,
    task: prompts.JudgeTask,
    *,
    n: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 512,
    seed: int = 0,
) -> JudgeFn:
    """Makes a judge that writes ``n`` chains of thought in each order; its probability is the mean of their verdicts.

    A tie is one half. One chain at temperature 0 is chain of thought, several at a higher one are self-consistency.
    Texts without a verdict are counted and do not vote; an order in which none has one makes the judgement unparsed.

    Args:
      generate: continues prompts with texts, by a language model.
      task: the question, and what the texts are called.
      n: chains for each order, at least 1.
      temperature: of the sampling; 0 is greedy.
      max_tokens: the longest chain, at least 1.
      seed: of the sampling.

    Raises:
      ValueError: if ``n`` or ``max_tokens`` is below 1.
    """
    check_counts(n=n, max_tokens=max_tokens)

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        shown = [*pairs, *(pair.swapped() for pair in pairs)]
        asked = [prompts.render_reasoning(task, pair) for pair in shown]
        texts = generate(asked, n=n, temperature=temperature, max_tokens=max_tokens, seed=seed) if asked else []
        return [
            _from_votes(plain, swapped) for plain, swapped in zip(texts[: len(pairs)], texts[len(pairs) :], strict=True)
        ]

    return antisymmetric(judge)


def judge_by_length(pairs: Sequence[PreferencePair]) -> list[Judgement]:
    """Judges by length: the longer text wins, in characters. It is the rule to beat; equal lengths are a tie.

    Args:
      pairs: the pairs to judge.

    Returns:
      A judgement for each pair, with a probability of 1, 0 or one half.
    """
    lead = [len(pair.first) - len(pair.second) for pair in pairs]
    shares = [0.5 + 0.5 * ((each > 0) - (each < 0)) for each in lead]
    return [Judgement(share, Orders(share, share)) for share in shares]


def _from_votes(plain: Sequence[str], swapped: Sequence[str]) -> Judgement:
    votes = [[parse_verdict(text) for text in texts] for texts in (plain, swapped)]
    shown_first, shown_second = (_mean([vote for vote in each if vote is not None]) for each in votes)
    # In the swapped order a vote for A is one for the second text.
    orders = Orders(shown_first, None if shown_second is None else 1 - shown_second)
    return Judgement(
        orders.probability,
        orders,
        texts=(*plain, *swapped),
        asked=len(plain) + len(swapped),
        unparsed=sum(each.count(None) for each in votes),
    )


def _mean(votes: Sequence[float]) -> float | None:
    return sum(votes) / len(votes) if votes else None
