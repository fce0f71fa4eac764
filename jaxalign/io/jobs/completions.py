"""Samples of many prompts, streamed to a file as they end; the same command after a break adds what is missing.

The file has one JSON object a line: ``id`` of the prompt, ``sample`` (0, 1, ...), ``text`` (up to a stop string, if one
ended it), ``finish`` (``stop_token``, ``stop_string`` or ``length``), ``tokens``, ``logps``, one for each token, in
nats under the model at temperature 1, and ``seconds`` since the line before it or since its call began, so that their
sum is what the file has cost. Lines come in the order in which samples end. Beside it stands ``<file>.settings.json``:
a file is continued with the weights, config, tokenizer, rule, settings and prompts that it was begun with, or not at
all.
"""

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array

from jaxalign.data import PreferenceRecord, Tokenizer, encode_prompt, read_jsonl
from jaxalign.data.text.turns import space_before
from jaxalign.io import keys, line_file
from jaxalign.io.run.progress import Progress
from jaxalign.sampling import Completion, Job, Rule, Stops, run_jobs
from jaxalign.sampling.checks import check_sizes
from jaxalign.typing import Params

FORMAT = 2  # of the lines and the settings beside them


class Prompt(NamedTuple):
    """A prompt.

    Attributes:
      id: its name, unlike all others.
      tokens: its token ids.
    """

    id: str
    tokens: Sequence[int]


class CompletionsReport(NamedTuple):
    """What became of a file of completions.

    Attributes:
      written: samples that this call wrote.
      found: samples that the file held before.
      skipped: prompts that were left out as too long.
    """

    written: int
    found: int
    skipped: int


def read_prompts(path: str | os.PathLike, tokenizer: Tokenizer, *, skip_bad_rows: bool = False) -> list[Prompt]:
    """Reads prompts from a file of rows with ``prompt``, a text or a list of chat messages, and optionally ``id``.

    Args:
      path: a file of JSON lines or a JSON list, one row a prompt.
      tokenizer: makes token ids of the prompts; a chat is rendered by its template.
      skip_bad_rows: leave out rows that hold no prompt, instead of raising an error.

    Returns:
      The prompts. One without ``id`` has the number of its row as its name, counted from 0, skipped rows included: it
      does not depend on the other rows.

    Raises:
      ValueError: a row has no prompt (names file and row), or there is no row.
    """

    def record(row: Mapping) -> PreferenceRecord:
        if "prompt" not in row:
            raise ValueError(f"prompt: missing, the row has {sorted(row)}")
        # Sources give preference records; a prompt alone is one with silence for an answer.
        return PreferenceRecord(row["prompt"], ("",), (0.0,), id=str(row.get("id", "")))

    source = read_jsonl(path, record, skip_bad_rows=skip_bad_rows)
    numbered = zip(source.rows, source.records, strict=True)
    return [Prompt(each.id or str(row), encode_prompt(each, tokenizer)) for row, each in numbered]


def write_completions(
    path: str | os.PathLike,
    model,
    params: Params,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    key: Array,
    *,
    num_samples: int,
    max_new_tokens: int,
    rule: Rule,
    eos_ids: Sequence[int] = (),
    stops: Sequence[str] = (),
    skip_long: bool = False,
    settings: Mapping[str, Any] | None = None,
    num_slots: int = 32,
    stride: int = 16,
    sharding: NamedSharding | None = None,
    show: bool = True,
) -> CompletionsReport:
    """Adds to a file what it lacks of ``num_samples`` samples of each prompt.

    A sample depends on ``key``, the place of its prompt in the list and its own number: neither breaks nor slots change
    it, and ``num_samples`` may grow.

    Args:
      path: the file of JSON lines, with the fields that stand in this module's docstring; continued if it is there.
      model: a decoder or encoder-decoder from :func:`jaxalign.models.build`.
      params: its parameters.
      tokenizer: decodes the samples, and says which tokens end one.
      prompts: prompts of different ids.
      key: random key of all samples, from which each draws its own.
      num_samples: samples of each prompt, numbered from 0.
      max_new_tokens: the longest sample, in tokens.
      rule: how a token is chosen, for instance ``sampling.sample()`` or ``sampling.greedy``.
      eos_ids: tokens that end a sample beside the tokenizer's own.
      stops: texts that end a sample, special tokens among them, spelled as the tokenizer spells them; its ``text``
        leaves them out, its tokens and log-probabilities do not.
      skip_long: leave out, and count, prompts that with ``max_new_tokens`` exceed the model's context.
      settings: what else a continued file must agree on, as JSON. Weights, config, tokenizer, rule, key and prompts are
        looked at here.
      num_slots: samples that are decoded side by side.
      stride: tokens between two looks at which samples have ended; these make room only then.
      sharding: how the slots are split over devices; None for one device.
      show: whether to show the progress.

    Returns:
      How many samples were written and found, and how many prompts were skipped.

    Raises:
      ValueError: prompts that are too long, empty, or of one id; a file of other settings or prompts, naming what
        differs; sizes that give no sample.
      OSError: a sample could not be written; those before it stay.
    """
    check_sizes(num_samples=num_samples, max_new_tokens=max_new_tokens, num_slots=num_slots, stride=stride)
    path, now = pathlib.Path(path), time.monotonic()
    room = model.config.max_length - max_new_tokens
    _check_prompts(prompts, room, skip_long)
    kept = [(number, prompt) for number, prompt in enumerate(prompts) if len(prompt.tokens) <= room]
    stop = Stops(stops, tokenizer.decode, getattr(tokenizer, "special_ids", {}))
    drawn = {"max_new_tokens": max_new_tokens, "eos_ids": list(eos_ids), "stops": list(stops), "key": _key_of(key)}
    made_with = {**keys.of_model(model.config, params), "tokenizer": keys.of_tokenizer(tokenizer)}
    drawn |= {"rule": keys.digest(keys.of_function(rule)), "prompts": _digest(prompts), **made_with, **(settings or {})}
    keys.begin(path, {keys.FORMAT: FORMAT, **drawn})
    found = _written(path)
    jobs = [
        Job(number, prompt.tokens, missing)
        for number, prompt in kept
        if (missing := [sample for sample in range(num_samples) if (prompt.id, sample) not in found])
    ]
    total = num_samples * len(kept)
    done = before = total - sum(len(job.samples) for job in jobs)
    completions = run_jobs(
        model,
        params,
        jobs,
        key,
        num_slots=num_slots,
        # Of all, not of the missing: the same shapes after a break give the same rounding.
        max_prompt_tokens=max((len(prompt.tokens) for _, prompt in kept), default=1),
        max_new_tokens=max_new_tokens,
        eos_id=tuple(dict.fromkeys([*tokenizer.end_ids, *eos_ids])),
        rule=rule,
        stop=stop.find,
        stride=stride,
        sharding=sharding,
    )
    with line_file.Writer(path) as file, Progress(path.name, total, start=before, show=show) as progress:
        for done, each in enumerate(completions, start=before + 1):
            last, now = now, time.monotonic()
            row = _row(prompts[each.job], each, stop, tokenizer)
            file.append(json.dumps(row | {"seconds": round(now - last, 4)}, ensure_ascii=False))
            progress.update(done, {}, float(len(each.tokens)))
    return CompletionsReport(done - before, before, len(prompts) - len(kept))


def _row(prompt: Prompt, completion: Completion, stop: Stops, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "sample": completion.sample,
        "text": space_before(prompt.tokens, completion.tokens, tokenizer) + stop.text(completion.tokens),
        "finish": completion.finish,
        "tokens": completion.tokens,
        "logps": completion.logps,
    }


def _check_prompts(prompts: Sequence[Prompt], room: int | float, skip_long: bool) -> None:
    seen = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise ValueError(f"two prompts have the id {prompt.id!r}; results could not be told apart. Rename one")
        seen.add(prompt.id)
        if not len(prompt.tokens):
            raise ValueError(f"prompt {prompt.id!r} has no token, and the tokenizer begins with none; write something")
        if len(prompt.tokens) > room and not skip_long:
            raise ValueError(
                f"prompt {prompt.id!r} has {len(prompt.tokens)} tokens; the model's context has room for {room} beside "
                "the new ones. Shorten it, ask for fewer new tokens, or skip long prompts"
            )


def _digest(prompts: Sequence[Prompt]) -> str:
    lines = (json.dumps([prompt.id, [int(token) for token in prompt.tokens]]) for prompt in prompts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _key_of(key: Array) -> list:
    return [str(key.dtype), np.asarray(jax.random.key_data(key)).tolist()]


def _written(path: pathlib.Path) -> set[tuple[str, int]]:
    """The samples that a file holds."""
    if not path.exists():
        return set()
    return set(line_file.read_rows(path, lambda row: (row["id"], row["sample"]), what="a sample"))
