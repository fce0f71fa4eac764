"""A model in this process as the callables that judges and ensembles are given: it writes texts and scores options.

    generate = local.make_generate(model, params, tokenizer)
    score_options = local.make_score_options(model, params, tokenizer)
    score_options(["Is water wet? Answer:"], [(" Yes", " No")])

A prompt runs through the network once for all its samples, and once for all its options. Prompts are grouped by length
into batches of few static shapes. What a prompt gets does not depend on its batch (up to rounding).
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxalign import models, sampling
from jaxalign.data.text.options import EncodedOptions, encode_options
from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import encode_continued, space_before
from jaxalign.typing import GenerateFn, ListBatch, OptionScore, Params, Prompt, ScoreOptionsFn

SHORTEST = 16  # a prompt's places
_response_logps = jax.jit(models.response_logps, static_argnums=0)


def make_generate(model, params: Params, tokenizer: Tokenizer, *, num_slots: int = 32) -> GenerateFn:
    """Makes a generator of texts of a model in this process, a :class:`~jaxalign.typing.GenerateFn`.

    Temperature 0 takes the most likely tokens. A text depends on the prompt, the number of the sample and the seed (0
    by default), not on the other prompts: equal prompts get equal texts.

    Args:
      model: a decoder or encoder-decoder from :func:`jaxalign.models.build`.
      params: its parameters.
      tokenizer: its tokenizer.
      num_slots: samples that are decoded side by side.

    Raises:
      ValueError: (when called) a prompt without a token, or one that leaves no room for ``max_tokens``.
    """

    def generate(
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[str]]:
        rows = [tuple(encode_continued(prompt, "", tokenizer)) for prompt in prompts]
        for place, row in enumerate(rows):
            _check_room(model.config, place, row, max_tokens)
        numbers = sampling.job_numbers(rows)
        longest = max(map(len, rows), default=1)
        stops = sampling.Stops(stop, tokenizer.decode, getattr(tokenizer, "special_ids", {}))
        completions = sampling.run_jobs(
            model,
            params,
            [sampling.Job(number, row, range(n)) for row, number in numbers.items()],
            jax.random.key(seed or 0),
            num_slots=min(num_slots, _bucket(len(numbers) * n, 1)),
            max_prompt_tokens=min(_bucket(longest, SHORTEST), model.config.max_length - max_tokens),
            max_new_tokens=max_tokens,
            eos_id=tokenizer.end_ids,
            rule=sampling.greedy if temperature == 0 else sampling.sample(sampling.temperature(temperature)),
            stop=stops.find,
        )
        asked = {number: row for row, number in numbers.items()}
        texts = {
            (each.job, each.sample): space_before(asked[each.job], each.tokens, tokenizer) + stops.text(each.tokens)
            for each in completions
        }
        return [[texts[numbers[row], sample] for sample in range(n)] for row in rows]

    return generate


def make_score_options(
    model, params: Params, tokenizer: Tokenizer, *, batch_size: int = 8, ended: bool = False
) -> ScoreOptionsFn:
    """Makes a scorer of options, a :class:`~jaxalign.typing.ScoreOptionsFn`: exact log-probabilities, at temperature 1.

    Prompt and option are tokenised together, see :mod:`jaxalign.data.text.options`.

    Args:
      model: a decoder or encoder-decoder from :func:`jaxalign.models.build`.
      params: its parameters.
      tokenizer: its tokenizer.
      batch_size: prompts that run side by side.
      ended: whether the end of the text belongs to each option. Otherwise "Yes" counts whatever follows it.

    Raises:
      ValueError: (when called) options that do not exclude one another; a prompt and option that are too long.
    """

    def score_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        encoded = [
            encode_options(prompt, each, tokenizer, ended=ended) for prompt, each in zip(prompts, options, strict=True)
        ]
        for place, each in enumerate(encoded):
            _check_room(model.config, place, each.prompt, _longest(each))
        scores: list[list[OptionScore]] = [[] for _ in encoded]
        for shape, places in _batches(encoded, batch_size):
            chosen = [encoded[place] for place in places]
            logps = jax.device_get(_response_logps(model, params, _lists(chosen, batch_size, shape)))
            for place, each, row in zip(places, chosen, logps, strict=False):
                lengths = map(len, each.options)
                scores[place] = [OptionScore(float(logp), length) for logp, length in zip(row, lengths, strict=False)]
        return scores

    return score_options


def _batches(encoded: Sequence[EncodedOptions], size: int) -> Iterator[tuple[tuple[int, int, int], list[int]]]:
    """Places of what has one shape ``(P, K, R)`` after rounding up, at most ``size`` at a time."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for place, each in enumerate(encoded):
        shape = _bucket(len(each.prompt), SHORTEST), _bucket(len(each.options), 2), _bucket(_longest(each), 1)
        groups.setdefault(shape, []).append(place)
    for shape, places in groups.items():
        for start in range(0, len(places), size):
            yield shape, places[start : start + size]


def _lists(chosen: Sequence[EncodedOptions], size: int, shape: tuple[int, int, int]) -> ListBatch:
    """Options as the responses of a list, filled up with masked rows to ``size``."""
    p, k, r = shape
    prompts, responses = np.zeros((size, p), np.int32), np.zeros((size, k, r), np.int32)
    lengths = np.zeros((size, k), np.int32)
    prompt_lengths = np.ones(size, np.int32)
    for row, each in enumerate(chosen):
        prompts[row, : len(each.prompt)], prompt_lengths[row] = each.prompt, len(each.prompt)
        for slot, option in enumerate(each.options):
            responses[row, slot, : len(option)], lengths[row, slot] = option, len(option)
    return ListBatch(
        prompt_tokens=prompts,
        prompt_mask=np.arange(p) < prompt_lengths[:, None],
        response_tokens=responses,
        response_mask=np.arange(r) < lengths[:, :, None],
        labels=np.zeros((size, k), np.float32),
        where=lengths > 0,
        reference_logps=np.zeros((size, k), np.float32),
    )


def _longest(encoded: EncodedOptions) -> int:
    return max(map(len, encoded.options))


def _bucket(length: int, shortest: int) -> int:
    """The next power of two, at least ``shortest``."""
    return max(1 << (max(length, 1) - 1).bit_length(), shortest)


def _check_room(config: models.LanguageModelConfig, place: int, prompt: Sequence[int], new: int) -> None:
    if not prompt:
        raise ValueError(f"prompt {place} has no token, and the tokenizer begins with none; write something")
    if len(prompt) + new > config.max_length:
        raise ValueError(
            f"prompt {place} has {len(prompt)} tokens and up to {new} follow; the model's context has room for "
            f"{config.max_length}. Shorten the prompt, or let fewer follow"
        )
