"""What ``--check`` prints: counts, lengths, what is cut, rendered examples with what is learnt, and memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from experiments.align import start
from experiments.align.methods import METHODS
from experiments.align.plan import Plan, make_plan, make_trainee
from experiments.align.settings import Config
from experiments.common import machines
from jaxalign import sharding, training
from jaxalign.data import EncodedLists, HfTokenizer
from jaxalign.io.run.best import in_units
from jaxalign.training.step import lower_step

BEGIN, END = "⟦", "⟧"
"""Around what is learnt."""
EXAMPLES = 3


def print_plan(config: Config, lists: EncodedLists, tokenizer: HfTokenizer) -> None:
    """Prints examples, the number of steps, and what memory one takes; nothing is trained."""
    for line in examples(lists, tokenizer):
        print(line)
    nothing = None
    if METHODS[config.loss].reference:  # what they are changes no memory
        nothing = np.zeros((len(lists), int(np.diff(lists.list_starts).max())), np.float32)
    trainee, trained = make_trainee(config, start.load_start(config), jax.random.key(config.seed))
    plan = make_plan(config, trainee, trained, lists, nothing)
    print(f"steps: {plan.num_steps:,} of {config.training.batch} rows")
    for line in memory(plan):
        print(line)


def lengths(lists: EncodedLists, most: Sequence[int]) -> Iterator[str]:
    """Lines on the lengths of prompts and responses in tokens, and how many of them are cut."""
    report = lists.report
    for name, starts, limit, cut, count in (
        ("prompts", lists.prompt_starts, most[0], report.prompts_truncated, report.prompts),
        ("responses", lists.response_starts, most[1], report.responses_truncated, report.responses),
    ):
        found = np.diff(starts)
        at = ", ".join(f"{np.percentile(found, p):.0f} at {p} %" for p in (50, 90, 99))
        yield f"{name}: {at}, {found.max()} at most; {cut:,} of {count:,} are cut at {limit} tokens"


def examples(lists: EncodedLists, tokenizer: HfTokenizer) -> Iterator[str]:
    """The first records as the model reads them, what is learnt of them between ``⟦`` and ``⟧``."""
    for record in range(min(EXAMPLES, len(lists))):
        prompt = spelled(tokenizer, lists.prompt(record))
        yield f"--- example {record + 1}, prompt ---\n{prompt}"
        for index in range(lists.list_starts[record], lists.list_starts[record + 1]):
            response = spelled(tokenizer, lists.response(index))
            yield f"--- label {lists.labels[index]:.3g} ---\n{BEGIN}{response}{END}"


def spelled(tokenizer: HfTokenizer, ids: Sequence[int]) -> str:
    """The text of ids, with control tokens as they are spelled, which decoding leaves out."""
    names = {id: name for name, id in tokenizer.special_ids.items()}
    parts, run = [], []
    for token in map(int, ids):
        if token in names:
            parts += [tokenizer.decode(run) if run else "", names[token]]
            run = []
        else:
            run.append(token)
    return "".join([*parts, tokenizer.decode(run) if run else ""])


def memory(plan: Plan) -> Iterator[str]:
    """Lines on what a step takes, by the compiler's count for one device, before anything is trained."""
    place = {"mesh": machines.mesh(), "rules": machines.RULES}
    batch = sharding.place_batch(next(iter(plan.batches)), **place)
    state = training.init_state(plan.trained, plan.optimizer, **place)
    compiled = lower_step(plan.step, state, batch, jax.random.key(0)).compile()
    counted = compiled.memory_analysis()
    parts = {
        "parameters that are trained": _size(state.params),
        "state of the optimizer": _size(state.opt_state),
        "frozen base and other arguments": counted.argument_size_in_bytes
        - _size(state.params)
        - _size(state.opt_state)
        - _size(batch),
        "activations and gradients": counted.temp_size_in_bytes,
    }
    total = counted.argument_size_in_bytes + counted.temp_size_in_bytes + counted.output_size_in_bytes
    total -= counted.alias_size_in_bytes
    devices = len(machines.mesh().devices.flat)
    yield f"memory of a step: {in_units(total)} on each of {devices} device{'s' * (devices > 1)}, of which"
    yield from (f"  {name}: {in_units(max(size, 0))}" for name, size in parts.items())


def _size(tree: Any) -> int:
    """Bytes on one device."""
    return sum(
        leaf.addressable_shards[0].data.nbytes if isinstance(leaf, jax.Array) else leaf.nbytes
        for leaf in jax.tree.leaves(tree)
    )
