"""Training steps of real models, random weights, over kinds of step, lengths, and ratios of prompt to response.

The cases leave a centre one axis at a time, in order of their value to a run whose time is short.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax

from jaxalign import models, training
from jaxalign.training import TrainState
from tools.benchmarks import flops
from tools.benchmarks.batches import Rows, Sizes, random_lists, random_rows
from tools.benchmarks.measure import Table, device_bytes, needed_bytes, on_accelerator
from tools.hardware import Chip, peaks_of
from tools.model_shapes import BENCHMARKED, MODELS

TITLE = "Training steps by length, list size and ratio"
HEADER = (
    *("model", "step", "K", "P", "R", "batch", "remat", "attention"),
    *("ms / step", "valid tokens / s", "MFU", "peak GB"),
)
TOKENS = 16_384  # of a step, about
UNIT = 32  # lengths are multiples of it
NO_MEMORY = "does not fit"

StepName = Literal["SFT", "SFT, packed", "DPO", "LiPO"]


class Case(NamedTuple):
    """A kind of step on sequences of ``length`` tokens, of which the prompt has ``ratio`` times the response's.

    SFT has rows of one sequence each; DPO and LiPO have lists, whose responses share their prompt.
    """

    step: StepName
    length: int
    ratio: float = 2.0
    list_size: int = 1
    remat: str = "full"
    attention: str = "cudnn"

    @property
    def prompt(self) -> int:
        return min(max(round(self.length * self.ratio / (1 + self.ratio) / UNIT), 1) * UNIT, self.length - UNIT)

    @property
    def response(self) -> int:
        return self.length - self.prompt

    def sizes(self, tokens: int = TOKENS) -> Sizes:
        """Chooses the sizes of a batch of about so many tokens."""
        lists = max(round(tokens / (self.prompt + self.list_size * self.response)), 1)
        return Sizes(lists, self.prompt, self.list_size, self.response)


CENTRE = 2048
CASES = (
    Case("SFT", 4096, remat="dots"),
    Case("SFT", 4096, remat="none"),
    Case("DPO", CENTRE, list_size=2, remat="dots"),
    Case("LiPO", CENTRE, list_size=8, remat="dots"),
    Case("SFT, packed", 4096, remat="dots"),
    Case("SFT", 4096, remat="dots", attention="xla"),
    Case("SFT", 4096),
    *(Case("SFT", length, remat="dots") for length in (8192, 1024, 2048)),
    *(Case("LiPO", CENTRE, ratio, 8, remat="dots") for ratio in (8.0, 0.5, 4.0, 1.0)),
    Case("LiPO", CENTRE, list_size=4, remat="dots"),
    Case("LiPO", 640, 4.0, 8),  # P = 512, R = 128
    *(Case("DPO", length, list_size=2, remat="dots") for length in (8192, 1024, 4096)),
    Case("LiPO", CENTRE, list_size=8, remat="dots", attention="xla"),
)

LOSSES: Mapping[StepName, Any] = {
    "SFT": training.make_unpacked_sft_loss,
    "SFT, packed": training.make_sft_loss,
    "DPO": functools.partial(training.make_dpo_loss, beta=0.1),
    "LiPO": functools.partial(training.make_ranking_loss, beta=0.05),
}


class Program(NamedTuple):
    """A compiled step, what it takes before the state, what it trains on, and the bytes that it needs."""

    compiled: Any
    bound: tuple
    batch: Any
    bytes: int


class Measurement(NamedTuple):
    """Seconds of a step, and its last loss."""

    seconds: float
    loss: float


def table(rounds: int, names: Sequence[str] = ()) -> Table:
    """One row a model and case, models by ``names``; without an accelerator, a sentence."""
    if not on_accelerator():
        return Table(TITLE, ("Not measured: models of 2 billion parameters need an accelerator.",))
    return Table(
        title=TITLE,
        notes=(
            f"No padding; about {TOKENS:,} tokens a step (batch: rows or lists); one device. AdamW with clipping;",
            f"bfloat16 products, float32 parameters and optimizer state. Time is the mean of {rounds} steps, one",
            "dispatched behind the other as in training. Peak is what XLA plans for the step: arguments, results and",
            "temporary buffers of that program alone. SFT: rows of one example, no mask; packed: the same rows with",
            "segments. Gemma 2 caps its attention logits, which cuDNN's kernel cannot: its attention is XLA's.",
            *flops.CONVENTION,
        ),
        header=HEADER,
        rows=measured_rows(rounds, names or BENCHMARKED),
    )


def measured_rows(rounds: int, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Rows in order of the cases; within a case, of the models."""
    peaks = peaks_of(jax.devices()[0])
    for case in CASES:
        for name in names:
            yield row(name, MODELS[name], case, case.sizes(), rounds, device_bytes(), peaks)


def row(
    name: str,
    config: models.DecoderConfig,
    case: Case,
    sizes: Sizes,
    rounds: int,
    limit: int | None,
    peaks: Chip | None,
) -> tuple[str, ...]:
    """Cells of one case; a step that needs more than ``limit`` bytes is not run."""
    config = dataclasses.replace(config, remat=case.remat, attention=case.attention)
    try:
        program = compile_step(config, case.step, sizes)
        fits = limit is None or program.bytes <= limit
        found = measure(config, program, rounds) if fits else None
        needed = program.bytes
    except jax.errors.JaxRuntimeError as error:
        # XLA tries kernels out while it compiles, which can exhaust the memory too.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        found = needed = None
    return (*describe(name, config, case, sizes), *cells(config, case.step, sizes, found, needed, peaks))


def describe(name: str, config: models.DecoderConfig, case: Case, sizes: Sizes) -> tuple[str, ...]:
    """The cells that say what the case is."""
    attention = "xla" if config.attention_softcap else config.attention
    shape = str(sizes.responses), str(sizes.prompt), str(sizes.response), str(sizes.lists)
    return (name, case.step, *shape, config.remat, attention)


def cells(
    config: models.DecoderConfig,
    step: StepName,
    sizes: Sizes,
    found: Measurement | None,
    needed: int | None,
    peaks: Chip | None,
) -> tuple[str, ...]:
    """What was found; a dash where it, or the device's peak FLOP/s, is not known."""
    memory = "-" if needed is None else f"{needed / 1e9:.1f}"
    if found is None:
        return NO_MEMORY, "-", "-", memory
    counted = flops.step_flops(config, work(config, step, sizes)).total
    return (
        f"{1e3 * found.seconds:.1f}",
        f"{sizes.tokens / found.seconds:,.0f}",
        "-" if peaks is None else f"{counted / found.seconds / peaks.flops:.3f}",
        memory,
    )


def work(config: models.DecoderConfig, step: StepName, sizes: Sizes) -> flops.Work:
    """Counts the work of a batch without padding."""
    if LOSSES[step] in (training.make_sft_loss, training.make_unpacked_sft_loss):
        return flops.row_work(config, Rows(sizes.lists, 1, sizes.prompt + sizes.response))
    return flops.list_work(config, sizes)


def make_batch(step: StepName, sizes: Sizes, vocab_size: int) -> Any:
    """Random rows or lists."""
    if step in ("DPO", "LiPO"):
        return random_lists(sizes, vocab_size)
    return random_rows(sizes.lists, sizes.prompt, sizes.response, vocab_size)


def compile_step(config: models.DecoderConfig, step: StepName, sizes: Sizes) -> Program:
    """Compiles from shapes: a step that does not fit is known not to before anything is allocated."""
    batch = make_batch(step, sizes, config.vocab_size)
    train_step = training.make_train_step(LOSSES[step](models.build(config)), optimizer())
    state = jax.eval_shape(state_maker(config), jax.random.key(1))
    compiled = training.lower_step(train_step, state, batch, jax.random.key(0)).compile()
    return Program(compiled, train_step.args, batch, needed_bytes(compiled))


def measure(config: models.DecoderConfig, program: Program, rounds: int) -> Measurement:
    """Train ``rounds`` steps on one batch, after two steps that are not timed."""
    state, key = state_maker(config)(jax.random.key(1)), jax.random.key(0)
    for count in (2, rounds):
        start = time.perf_counter()
        for _ in range(count):
            state, metrics = program.compiled(*program.bound, state, program.batch, key)
        loss = float(jax.block_until_ready(metrics["loss"].value))
        jax.block_until_ready(state.step)
        seconds = (time.perf_counter() - start) / count
    return Measurement(seconds, loss)


def optimizer():
    return training.adamw(1e-6)


def state_maker(config: models.DecoderConfig):
    """``make(key) -> TrainState``, one program for all ways to run a model."""
    return _state_maker(dataclasses.replace(config, remat="none", attention="xla"))


@functools.cache
def _state_maker(config: models.DecoderConfig):
    model = models.build(config)

    def make(key) -> TrainState:
        params = model.init(key, jax.numpy.zeros((1, 2), "int32"))["params"]
        return training.init_state(params, optimizer())

    return jax.jit(make)
