"""One method after the other from one warm start, on one budget of steps; every stage keeps and continues its files."""

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
from jaxtyping import Array

from experiments.common import machines, stages
from experiments.common.task import Policy, Row, exactly
from experiments.plad.figures import rouge_l
from experiments.plad.methods import METHODS
from experiments.plad.texts import Samples, sampled_texts, sampling_cost
from experiments.plad.world import Texts, World
from jaxalign import data
from jaxalign.data import EncodedLists, Outputs, PreferenceRecord
from jaxalign.io import keys
from jaxalign.io.cluster import processes
from jaxalign.io.jobs import records
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
        if METHODS[method].learns_from == "judged pairs" and world.quality_fn is None:
            raise ValueError(
                f"{method} needs to know the quality of texts, and nothing here does; leave it out of --methods"
            )


def warm_start(config: "Config", world: World, directory: pathlib.Path, key: Array) -> Policy:
    """Fine-tunes the student on the teacher's texts for ``config.warm_steps``: where all methods begin."""
    return _train(config, world, "seq-KD", world.student, _taught(world), directory, key, config.warm_steps)


def learn(
    config: "Config", world: World, method: str, start: Policy, directory: pathlib.Path, key: Array
) -> list[Policy]:
    """Returns the student before, between and after the rounds of a method, which has ``config.steps`` in all."""
    how = METHODS[method]
    policies, steps = [start], config.steps // how.rounds
    for number in range(how.rounds):
        place = directory if how.rounds == 1 else directory / f"round-{number}"
        round_key = jax.random.fold_in(key, number)
        trained = config.warm_steps + number * steps
        shared, longest = directory.parent, config.limits[1]
        examples = examples_for(world, method, policies[-1], trained, shared, max_response=longest)
        policies.append(_train(config, world, method, policies[-1], examples, place, round_key, steps))
    return policies


def examples_for(
    world: World, method: str, snapshot: Policy, step: int, directory: pathlib.Path, *, max_response: int
) -> list[PreferenceRecord]:
    """Returns what a method learns from; pairs are those of the student's ``snapshot`` after ``step`` steps."""
    learns_from = METHODS[method].learns_from
    if learns_from == "gold":
        return [record.best(1) for record in world.train if record.responses != ("",)]
    if learns_from == "teacher":
        return _taught(world)
    pairs = processes.first(lambda: make_pairs(world, snapshot, step, directory, max_response=max_response))
    if learns_from == "pairs":
        return pairs
    judged, report = data.order_by_quality(pairs, world.quality_fn)
    print(f"{method}: {report.kept} pairs as they were, {report.flipped} flipped, {report.dropped} dropped")
    return judged


def make_pairs(
    world: World, snapshot: Policy, step: int, directory: pathlib.Path, *, max_response: int
) -> list[PreferenceRecord]:
    """Makes pseudo-preference pairs of a snapshot of the student, a file in ``directory`` that methods share.

    Args:
      world: the prompts, and the teacher's texts.
      snapshot: the student.
      step: steps that it has learnt for.
      directory: that of the seed.
      max_response: tokens of a text.
    """
    student = data.fingerprint(snapshot.params)
    key = jax.random.key(int(student[:8], 16) >> 1)  # one draw for a snapshot, whichever method asks first
    path = samples_file(snapshot, directory)
    written = sampled_texts(
        path, snapshot, world.tokenizer, world.train, key, num_samples=1, max_new_tokens=max_response
    )
    outputs = [_outputs(record, world.texts, written) for record in world.train]

    def make() -> list[PreferenceRecord]:
        pairs, report = data.pseudo_pairs(
            outputs,
            world.tokenizer,
            max_response=max_response,
            similarity_fn=lambda teacher, student: float(rouge_l([student], [teacher])[0]),
        )
        print(
            f"pairs: {report.pairs} of {report.prompts} prompts, {report.identical} identical, "
            f"{report.unanswered} unanswered"
        )
        return pairs

    provenance = {
        "student": student,
        "step": step,
        "samples": json.loads(keys.settings_file(path).read_text(encoding="utf-8")),
        "teacher": keys.digest(world.texts),
        "prompts": keys.digest([[record.id, record.prompt] for record in world.train]),
        "max_response": max_response,
        "similarity": "ROUGE-L",
    }
    return records.stored_records(directory / f"pairs-{name_of(snapshot)}.jsonl", provenance, make)


def _outputs(record: PreferenceRecord, taught: Texts, written: Samples) -> Outputs:
    own = written.get(record.id, ())
    texts, tokens = [sample.text for sample in own], [sample.tokens for sample in own]
    return Outputs(record.prompt, taught.get(record.id, ()), texts, record.id, tokens)


def samples_file(snapshot: Policy, directory: pathlib.Path) -> pathlib.Path:
    """Says where the texts of a snapshot of the student are."""
    return directory / f"student-{name_of(snapshot)}.jsonl"


def name_of(snapshot: Policy) -> str:
    """Returns a name that no other model has: another config with the same weights writes other texts."""
    return data.fingerprint((snapshot.model.config, snapshot.params))[:12]


def folder_name(method: str) -> str:
    """Returns the folder of a method, in that of its seed."""
    return method.replace(" ", "-").replace("+", "and")


def cost(method: str, policies: Sequence[Policy], directory: pathlib.Path) -> Row:
    """Sums tokens and seconds of training in all rounds, and of sampling for pairs, which methods may share."""
    folders = [path.parent for path in sorted(directory.rglob("summary.json"))]
    tokens = sum(row["tokens"] for folder in folders for row in read_metrics(folder))
    seconds = sum(json.loads((folder / "summary.json").read_text())["seconds"] for folder in folders)
    row = {"tokens": exactly(tokens), "seconds": exactly(seconds)}
    if "pairs" in METHODS[method].learns_from:
        row |= sampling_cost([samples_file(snapshot, directory.parent) for snapshot in policies[:-1]])
    return row


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
) -> Policy:
    lists: EncodedLists = data.encode_lists(
        examples, world.tokenizer, max_prompt=config.limits[0], max_response=config.limits[1]
    )
    size = max(len(record.responses) for record in examples)
    batches = data.list_batches(machines.even(lists), batch_size=config.batch, list_size=size, **machines.share())
    options = {"beta": config.beta, "end_ids": world.tokenizer.end_ids}
    loss_fn = METHODS[method].make_loss(policy.model, world.teacher, **options)
    sizes = {"adapter": config.adapter, "steps": steps, "learning_rate": config.learning_rate}
    return stages.train(policy, world.tokenizer, batches, loss_fn, directory, key, **sizes)
