"""Options as continuations of a prompt, for exact log-probabilities of whole options.

A tokenizer may join the end of a prompt and the beginning of an option into one token, and "Yes" behind a space is
another token than "Yes": prompt and option are tokenised together. With j_k the tokens of the prompt followed by option
k, and c the length of what the tokens of the prompt alone and all j_k have in common at their beginning,

    score of option k = sum over t >= c of log p(j_k[t] | j_k[0], ..., j_k[t - 1])

which is log p(option k | prompt), exactly, where nothing is joined. Where something is, the prompt's last characters
are scored with every option and conditioned on by none, so that the options of a prompt stay comparable.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import encode_continued
from jaxalign.prompting.options import check_options
from jaxalign.typing import Prompt


class EncodedOptions(NamedTuple):
    """The token ids of a prompt and of the options that continue it.

    Attributes:
      prompt: what all options follow, at least one id.
      options: the ids of each option.
    """

    prompt: list[int]
    options: list[list[int]]


def encode_options(
    prompt: Prompt, options: Sequence[str], tokenizer: Tokenizer, *, ended: bool = False
) -> EncodedOptions:
    """Returns the ids of a prompt and of the options that continue it, tokenised together.

    With j_k the ids of the prompt followed by option k, the prompt is what the ids of the prompt alone and all j_k have
    in common at their beginning. What an encoder reads is a text of its own: behind ``separator_ids`` an option is
    tokenised by itself.

    Args:
      prompt: a text, which follows the beginning-of-sequence token, or a chat, whose assistant says the option.
      options: two texts or more, each with its own blank before it.
      tokenizer: of the model that scores them.
      ended: the end of the text, or of the assistant's turn, belongs to each option. Otherwise "Yes" counts whatever
        follows it.

    Raises:
      ValueError: options that do not exclude one another, as texts or as tokens; no token is left to condition on.
    """
    check_options(options)
    alone = encode_continued(prompt, "", tokenizer)
    joint = [_joint(prompt, option, tokenizer, ended) for option in options]
    common = len(_common_prefix([alone, *joint]))
    if not common:
        raise ValueError(
            "the prompt has no token before its options, or its only token is joined to one, and a score needs "
            "something to be conditioned on; begin with a text, or use a tokenizer with a beginning-of-sequence token"
        )
    suffixes = [tokens[common:] for tokens in joint]
    _check_tokens(options, suffixes)
    return EncodedOptions(joint[0][:common], suffixes)


def _joint(prompt: Prompt, option: str, tokenizer: Tokenizer, ended: bool) -> list[int]:
    if ended and not isinstance(prompt, str) and not tokenizer.separator_ids:
        return tokenizer.encode_answered(prompt, option).ids
    return [*encode_continued(prompt, option, tokenizer), *([tokenizer.eos_id] if ended else [])]


def _check_tokens(options: Sequence[str], suffixes: Sequence[list[int]]) -> None:
    for (first, a), (second, b) in itertools.permutations(zip(options, suffixes, strict=True), 2):
        if a == b[: len(a)]:
            raise ValueError(
                f"options: the tokens of {first!r} begin those of {second!r}, since the tokenizer does not tell them "
                "apart; choose other words"
            )


def _common_prefix(rows: Sequence[Sequence[int]]) -> list[int]:
    columns = zip(*rows, strict=False)
    return [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
