"""The step with gradients on ragged lists, packed into rows against padded, one list a row."""

import dataclasses
import functools
import operator
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign import data, models
from jaxalign.data import EncodedLists, ResponseColumns
from jaxalign.typing import ListBatch, PackedListBatch
from tools.benchmarks import shared_prompt
from tools.benchmarks.batches import random_params
from tools.benchmarks.measure import Table, median_ratio, on_accelerator, take_warm_turns, temporary_bytes

LISTS = pathlib.Path(__file__).parents[3] / "shared" / "data" / "alpacaeval_lists" / "train.parquet"
COLUMNS = ResponseColumns(id="prompt_id", prompt="prompt", response="response", label="preference", source="source")
LIST_SIZE = 8
CONFIG = dataclasses.replace(shared_prompt.CONFIG, width=128, mlp_width=512, num_layers=4, head_dim=32)
HEADER = (
    *("P", "R", "padding padded", "packed", "lists a step padded", "packed"),
    *("speed-up a list", "ideal", "memory a list, padded / packed"),
)


class Case(NamedTuple):
    """Limits of prompt and response in tokens, and lists of a padded batch; a packed row is as long as that batch."""

    limits: tuple[int, int]
    lists: int


CASES = (Case((128, 256), 2), Case((256, 768), 1))


def table(rounds: int) -> Table:
    """One row for each pair of limits."""
    config = shared_prompt.ACCELERATOR_CONFIG if on_accelerator() else CONFIG
    lengths, source = read_lengths() if LISTS.exists() else draw_lengths()
    return Table(
        title="Packed lists, forward and backward",
        notes=(
            f"Lists of {LIST_SIZE} with the lengths of {source}, cut at P and R; tokens are random.",
            f"A decoder of width {config.width}, {config.num_layers} layers, vocabulary {config.vocab_size:,},"
            f" {config.dtype}, rematerialisation {config.remat}. A row is as long as the padded batch beside it.",
            "Ideal: the tokens that run through the network for a list, padding included, padded over packed.",
        ),
        header=HEADER,
        rows=[row(config, make_lists(lengths, case.limits, config.vocab_size), case, rounds) for case in CASES],
    )


def read_lengths() -> tuple[list[tuple[int, list[int]]], str]:
    """Tokens of each prompt and of its responses, at four characters each, and where they are from."""
    records = data.read_parquet(LISTS, COLUMNS, group_by_id=True).records
    lengths = [(len(r.prompt) // 4 + 1, [len(text) // 4 + 1 for text in r.responses[: 2 * LIST_SIZE]]) for r in records]
    return lengths, "AlpacaEval 2, four characters a token"


def draw_lengths(count: int = 500) -> tuple[list[tuple[int, list[int]]], str]:
    """Draws what :func:`read_lengths` reads, log-normal."""
    rng = np.random.default_rng(0)
    prompts = np.ceil(rng.lognormal(3.4, 0.8, count)).astype(int).tolist()
    responses = np.ceil(rng.lognormal(5.3, 0.9, (count, LIST_SIZE))).astype(int).tolist()
    return list(zip(prompts, responses, strict=True)), "log-normal draws, medians 30 and 200, sigma 0.8 and 0.9"


def make_lists(lengths, limits: tuple[int, int], vocab_size: int) -> EncodedLists:
    """Random tokens of these lengths, cut at the limits."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, vocab_size, min(length, limits[0])) for length, _ in lengths]
    responses = [[rng.integers(0, vocab_size, min(length, limits[1])) for length in of] for _, of in lengths]
    labels = [[0.5] * len(of) for of in responses]
    return data.lists_from_tokens(prompts, responses, labels, pad_id=0, limits=limits)


def row(config: models.DecoderConfig, lists: EncodedLists, case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one pair of limits."""
    p, r = case.limits
    shape = data.fit_row(lists, list_size=LIST_SIZE, row_length=case.lists * (p + LIST_SIZE * r))
    epochs = {
        "padded": list(data.list_batches(lists, batch_size=case.lists, list_size=LIST_SIZE, num_epochs=1)),
        "packed": list(data.packed_list_batches(lists, shape, batch_size=1, num_epochs=1)),
    }
    steps = {name: compile_step(config, batches[0]) for name, batches in epochs.items()}
    seconds = take_warm_turns({name: step.call for name, step in steps.items()}, rounds)
    # Shapes are fixed: a step takes the same time whatever it holds.
    lists_a_step = {name: np.mean([b.where.any(axis=-1).sum() for b in batches]) for name, batches in epochs.items()}
    more = lists_a_step["packed"] / lists_a_step["padded"]
    tokens = [float(data.padding_share(batches[0]).denominator) for batches in epochs.values()]
    memory = [step.temporary_bytes for step in steps.values()]
    return (
        *map(str, case.limits),
        *(f"{total_padding(batches):.3f}" for batches in epochs.values()),
        *(f"{count:.2f}" for count in lists_a_step.values()),
        f"{median_ratio(seconds['padded'], seconds['packed']) * more:.2f}",
        *(f"{padded / packed * more:.2f}" for padded, packed in (tokens, memory)),
    )


class Step(NamedTuple):
    """A compiled step on one batch."""

    call: Callable[[], Any]
    temporary_bytes: int


def compile_step(config: models.DecoderConfig, batch: ListBatch | PackedListBatch) -> Step:
    """The sum of all log-probabilities with its gradients."""
    model = models.build(config)

    def total(params, batch):
        return models.response_logps(model, params, batch).sum()

    inputs = random_params(model), jax.device_put(batch)
    compiled = jax.jit(jax.value_and_grad(total)).lower(*inputs).compile()
    return Step(functools.partial(compiled, *inputs), temporary_bytes(compiled))


def total_padding(batches: Sequence[ListBatch | PackedListBatch]) -> float:
    """The share of padding in all of them."""
    return float(functools.reduce(operator.add, map(data.padding_share, batches)).value)
