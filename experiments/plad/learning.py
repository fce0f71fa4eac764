"""One method after the other from one warm start, on one budget of steps; every stage keeps and continues its files."""

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.task import Policy, Row, exactly
from experiments.plad.figures import training_folders
from experiments.plad.methods import METHODS
from experiments.plad.own_texts import Snapshot, better_texts, make_pairs, outputs_of
from experiments.plad.texts import sampling_cost
from experiments.plad.world import World
from jaxalign import data
from jaxalign.data import EncodedLists, PreferenceRecord
from jaxalign.io.cluster import processes
from jaxalign.io.run.writers import read_metrics

if TYPE_CHECKING:
    from experiments.plad.__main__ import Config


def check_methods(methods: Sequence[str], world: World) -> None:
    """Checks, before hours are spent, whether each method has what it needs here.

    Raises:
      ValueError: a method needs logits of a teacher that gives texts only, or a quality that nothing tells.
    """
    for method in methods:
        if METHODS[method].needs_logits and world.teacher is None:
            raise ValueError(
                f"{method} needs the teacher's logits over the student's vocabulary, and this teacher gives texts "
                f"only; leave it out of --methods"
            )
        if METHODS[method].learns_from in ("judged pairs", "better text") and world.quality_fn is None:
            raise ValueError(
                f"{method} needs to know the quality of texts, and nothing here does; leave it out of --methods"
            )


class Learnt(NamedTuple):
    """What a method made of the student."""

    policy: Policy
    rounds: int  # trainings, each from fresh texts of the student
    sampled: list[pathlib.Path]  # files of these texts


def warm_start(config: "Config", world: World, directory: pathlib.Path, key: Array) -> Policy:
    """Fine-tunes the student on the teacher's texts for ``config.warm_steps``: where all methods begin."""
    return _train(
        config, world, "seq-KD", world.student, _taught(world), directory, key, config.warm_steps, world.student
    )


def learn(config: "Config", world: World, method: str, start: Policy, directory: pathlib.Path, key: Array) -> Learnt:
    """Trains the student by a method for ``config.steps`` in all, in rounds if it learns from its own, fresh texts.

    Each round is a training of its own, whose rate rises and falls. It learns from the next prompts, as many as its
    steps take.
    """
    how, policy, files, trained = METHODS[method], start, [], 0
    rounds = split_steps(config.steps, config.refresh if how.needs_own_texts and how.refreshed else config.steps)
    for number, steps in enumerate(rounds):
        place = directory if len(rounds) == 1 else directory / f"round-{number}"
        prompts = next_prompts(world.train, trained * config.batch, steps * config.batch)
        sizes = {"max_response": config.limits[1], "temperature": config.negative_temperature}
        snapshot = Snapshot(policy, config.warm_steps + trained, prompts, directory.parent, **sizes)
        examples = examples_for(world, method, snapshot)
        if how.needs_own_texts:
            files.append(snapshot.samples_file)
        if examples:
            round_key = jax.random.fold_in(key, number)
            policy = _train(config, world, method, policy, examples, place, round_key, steps, start)
        else:
            print(f"{method}: nothing to learn from in the {steps} steps after {snapshot.step}; the student stays")
        trained += steps
    return Learnt(policy, len(rounds), files)


def split_steps(steps: int, refresh: int) -> list[int]:
    """Splits steps into rounds of ``refresh`` steps, the last of which may be shorter.

    >>> split_steps(100, 40)
    [40, 40, 20]
    """
    return [min(refresh, steps - done) for done in range(0, steps, refresh)]


def next_prompts(records: Sequence[PreferenceRecord], start: int, count: int) -> list[PreferenceRecord]:
    """Returns ``count`` records from number ``start`` on, over the end to the beginning, none of them twice."""
    return [records[(start + number) % len(records)] for number in range(min(count, len(records)))]


def examples_for(world: World, method: str, snapshot: Snapshot) -> list[PreferenceRecord]:
    """Returns what a method learns from, perhaps with the texts of a snapshot of the student; pairs may be none."""
    learns_from = METHODS[method].learns_from
    if learns_from == "gold":
        return [record.best(1) for record in world.train if record.responses != ("",)]
    if learns_from == "teacher":
        return _taught(world)
    if learns_from == "better text":
        written = processes.first(lambda: snapshot.write(world))
        return better_texts(outputs_of(world.texts, snapshot.prompts, written), world.quality_fn)
    pairs = processes.first(lambda: make_pairs(world, snapshot))
    if learns_from == "pairs":
        return pairs
    judged, report = data.order_by_quality(pairs, world.quality_fn)
    print(f"{method}: {report.kept} pairs as they were, {report.flipped} flipped, {report.dropped} dropped")
    return judged


def folder_name(method: str) -> str:
    """Returns the folder of a method, in that of its seed."""
    return method.replace(" ", "-").replace("+", "and")


def cost(learnt: Learnt, directory: pathlib.Path) -> Row:
    """Sums tokens and seconds of training in all rounds, and of the student's texts, which methods may share."""
    folders = training_folders(directory)
    tokens = sum(row["tokens"] for folder in folders for row in read_metrics(folder))
    seconds = sum(json.loads((folder / "summary.json").read_text())["seconds"] for folder in folders)
    row = {"tokens": exactly(tokens), "seconds": exactly(seconds)}
    return row | sampling_cost(learnt.sampled) if learnt.sampled else row


def _taught(world: World) -> list[PreferenceRecord]:
    return [
        PreferenceRecord(record.prompt, (text,), (1.0,), id=record.id)
        for record in world.train
        for text in world.texts.get(record.id, ())
    ]


def _train(
    config: "Config",
    world: World,
    method: str,
    policy: Policy,
    examples: Sequence[PreferenceRecord],
    directory: pathlib.Path,
    key: Array,
    steps: int,
    start: Policy,
) -> Policy:
    if len(examples) < config.batch:  # such as the pairs of a round in which most texts were identical
        print(
            f"{method}: {len(examples)} texts or pairs for batches of {config.batch}, so each stands in one repeatedly"
        )
        examples = [examples[number % len(examples)] for number in range(config.batch)]
    lists: EncodedLists = data.encode_lists(
        examples, world.tokenizer, max_prompt=config.limits[0], max_response=config.limits[1]
    )
    how, size = METHODS[method], max(len(record.responses) for record in examples)
    batches = data.list_batches(machines.even(lists), batch_size=config.batch, list_size=size, **machines.share())
    options = {"start": start, "beta": config.beta, "end_ids": world.tokenizer.end_ids}
    loss_fn = how.make_loss(policy.model, world.teacher, **options)
    rate = config.learning_rate * (config.pair_rate if how.calibrates else 1.0)
    sizes = {"adapter": config.adapter, "steps": steps, "learning_rate": rate}
    return stages.train(policy, world.tokenizer, batches, loss_fn, directory, key, **sizes)
