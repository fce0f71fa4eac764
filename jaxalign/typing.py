"""Batches, and the callables that users inject.

Letters in shapes: B lists or rows, S lists of a packed row, K responses of a list, P prompt tokens, R response tokens,
N lanes of R tokens for a packed row's responses, L tokens of a row, C classes.
``mask`` and ``where`` are True where an entry is real; padding may hold anything.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.numerics import Ratio

Params = Any
"""A pytree of arrays: what ``model.init`` returns under ``"params"``."""


class ListBatch(NamedTuple):
    """K responses to each of B prompts, with graded labels."""

    prompt_tokens: Int[Array, "B P"]
    prompt_mask: Bool[Array, "B P"]
    response_tokens: Int[Array, "B K R"]  # ends with the end-of-sequence token, which counts
    response_mask: Bool[Array, "B K R"]
    labels: Float[Array, "B K"]  # in [0, 1], higher is better
    where: Bool[Array, "B K"]
    reference_logps: Float[Array, "B K"]  # nats, summed over the response


class PackedListBatch(NamedTuple):
    """Rows of several complete lists (S): their prompts in turn, and lanes (N) of one or more responses each.

    A response is fed the last token of its prompt first, and the prompt is fed without it. Lanes keep attention short:
    a response looks for its own tokens in its lane only, and for its prompt's among the prompts of the row.
    """

    prompt_tokens: Int[Array, "B P"]
    prompt_lists: Int[Array, "B P"]  # 1, 2, ... S: the list to which a token belongs, 0 for padding
    prompt_positions: Int[Array, "B P"]  # from 0 within each prompt
    response_tokens: Int[Array, "B N R"]
    targets: Int[Array, "B N R"]  # the response: the token that follows each of ``response_tokens``
    response_lists: Int[Array, "B N R"]  # 1, 2, ... S, 0 for padding
    response_slots: Int[Array, "B N R"]  # 1, 2, ... K: the response within its list, 0 for padding
    response_positions: Int[Array, "B N R"]  # go on from the prompt's
    labels: Float[Array, "B S K"]  # these three as in ListBatch
    where: Bool[Array, "B S K"]
    reference_logps: Float[Array, "B S K"]


class TokenBatch(NamedTuple):
    """Rows of tokens for next-token training, padded or packed."""

    tokens: Int[Array, "B L"]
    targets: Int[Array, "B L"]  # the token that follows each of ``tokens``
    loss_mask: Bool[Array, "B L"]
    segment_ids: Int[Array, "B L"]  # 1, 2, ... within a row, 0 for padding
    positions: Int[Array, "B L"]  # from 0 within each segment


class TextBatch(NamedTuple):
    """Rows of one text each, with its class or, of C classes, the chance that it has each of them."""

    tokens: Int[Array, "B L"]
    mask: Bool[Array, "B L"]
    labels: Int[Array, "B"] | Float[Array, "B C"]  # a class from 0 to C - 1, -1 if unknown; or chances in [0, 1]
    where: Bool[Array, "B"]


class ComparisonFormat(NamedTuple):
    """The token ids around the parts of a comparison; :func:`jaxalign.data.comparison_format` finds them.

    A row is ``context`` prompt ``first`` response ``second`` response ``end``; what follows is the verdict.
    """

    context: tuple[int, ...]  # the beginning of the sequence, and [CONTEXT]
    first: tuple[int, ...]  # [RESPONSE A]
    second: tuple[int, ...]  # [RESPONSE B]
    end: tuple[int, ...]
    verdicts: tuple[int, int, int]  # one token each: the first wins, the second wins, neither


class ComparisonBatch(NamedTuple):
    """Rows of comparisons, one or several (S) to a row; the network says after each which response is better."""

    tokens: Int[Array, "B L"]
    segment_ids: Int[Array, "B L"]  # 1, 2, ... within a row, 0 for padding
    positions: Int[Array, "B L"]  # from 0 within each segment
    verdict_positions: Int[Array, "B S"]  # the place in the row of each comparison's last token
    verdicts: Float[Array, "B S 3"]  # the chances that the first wins, the second wins, neither; they sum to 1
    where: Bool[Array, "B S"]


@runtime_checkable
class ReduceFn(Protocol):
    """``jnp.mean``, ``jnp.sum``, :func:`jaxalign.numerics.ratio`, or anything with their signature."""

    def __call__(self, values: Float[Array, "..."], *, where: Bool[Array, "..."] | None = None) -> Any: ...


@runtime_checkable
class LambdaweightFn(Protocol):
    """Gives each pair of items of a list a weight, with which pairwise losses multiply the pair's loss.

    It takes scores and labels ``[..., K]``, a mask of real items and a key that breaks ties. It returns numbers of 0
    or more, ``[..., K, K]``: at [i, j] the weight of ranking item i above item j. No gradient flows through them.
    :func:`jaxalign.losses.dcg_lambdaweight` is one.
    """

    def __call__(
        self,
        scores: Float[Array, "*batch K"],
        labels: Float[Array, "*batch K"],
        *,
        where: Bool[Array, "*batch K"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch K K"]: ...


Metrics = Mapping[str, Ratio]

LossFn = Callable[[Params, Any, Array], tuple[Ratio | Array, Metrics]]
"""``loss_fn(params, batch, key) -> (loss, metrics)``; a Ratio loss makes accumulated batches equal one big batch."""

RewardFn = Callable[[ListBatch], Any]
"""``reward_fn(batch) -> [B, K]``: a number for each response, higher is better, or its log-probability in nats."""

PreferenceFn = Callable[[ListBatch], Any]
"""``preference_fn(batch) -> [B, K, K]``: at [i, j] the probability that response i, shown first, beats response j."""

EmbedFn = Callable[[Sequence[str]], Float[np.ndarray, "N D"] | Float[Array, "N D"]]
"""``embed(texts) -> [N, D]``: a vector for each text, alike in direction where the texts are alike in meaning."""


@runtime_checkable
class SupportFn(Protocol):
    """Says how well sources support claims, by an entailment model, embeddings or words.

    It takes claims and for each of them its sources, which may be many or none, and returns a number in [0, 1] for each
    claim, ``[len(claims)]``: 1 where the sources say all that the claim says.
    """

    def __call__(
        self, claims: Sequence[str], sources: Sequence[Sequence[str]]
    ) -> Float[np.ndarray, "N"] | Float[Array, "N"]: ...


Prompt = str | Sequence[Mapping[str, str]]
"""A text, or a chat of {"role", "content"} to which the answer is the next turn."""


@runtime_checkable
class GenerateFn(Protocol):
    """A language model, wherever it runs: prompts in, ``n`` texts for each out, in the order of the prompts.

    ``max_tokens`` limits each text, ``stop`` are texts that end it, and equal arguments with a ``seed`` should give
    equal texts.
    """

    def __call__(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[str]]: ...


class OptionScore(NamedTuple):
    """The raw log-probability of a complete option in nats, and how many tokens it has; normalised ones are derived.

    NaN stands for a log-probability that could not be read. Where all of a prompt's options have -inf, or one has NaN,
    nothing is known of them: see :func:`jaxalign.prompting.option_probabilities`.
    """

    logp: float
    tokens: int


@runtime_checkable
class ScoreOptionsFn(Protocol):
    """What a language model gives each of several continuations of a prompt: one sequence of options for each prompt.

    Scores are those of the model itself, at temperature 1.
    """

    def __call__(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]: ...
