"""A teacher that has written, or writes, to prompts from files; its texts may be all that is known of it.

Three kinds of teacher: recorded texts (``--teacher-outputs``, JSON lines or parquet with ``prompt``, ``response`` and
perhaps ``model``), a directory in Hugging Face format of any family and tokenizer (``--teacher DIR``), and an
OpenAI-compatible server (``--teacher URL``). The last two write to the prompts of ``--data``. A tenth of the prompts is
held out, and what the teacher wrote to them is the reference.

``--data`` is a folder of graded lists, as :mod:`experiments.common.alpacaeval_task` reads it; its
``validation.parquet`` shows whether a student's likelihood ranks responses by quality.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import jax
from jaxtyping import Array

from experiments.common import alpacaeval_task, stages
from experiments.common.draw import draw
from experiments.common.fields import is_url
from experiments.common.task import Policy, Row
from experiments.plad import figures
from experiments.plad.texts import asked_texts, sampled_texts, texts_of
from experiments.plad.world import Texts, World
from jaxalign import data
from jaxalign.data import HfTokenizer, Message, PreferenceRecord
from jaxalign.data.readers.columns import value_of
from jaxalign.io import hf
from jaxalign.io.cluster import processes

HELD_OUT = 10  # one prompt in so many
GRADED = 16  # responses of each validation prompt, spread over the ranking


def make_world(config, seed: int, directory: pathlib.Path, key: Array) -> World:
    """The world of the files and the teacher that ``config`` names."""
    student_key, texts_key = jax.random.split(key)
    lists = None if config.data is None and config.teacher_outputs else alpacaeval_task.read_lists(config.data)
    if config.teacher_outputs:
        records = recorded(config.teacher_outputs, config.teacher_name)
    else:  # the best known response is the gold target
        records = [dataclasses.replace(record.best(1), id=prompt_id(record.prompt)) for record in lists[0]]
    train = [record for record in records if not is_held_out(record)][: config.num_prompts]
    held_out = [record for record in records if is_held_out(record)]
    if not held_out:
        raise ValueError(f"none of {len(records)} prompts is held out: a tenth is, by a hash; give more prompts")
    tokenizer = alpacaeval_task.make_tokenizer(
        records, model=config.student, vocab_size=config.vocab_size, work=config.output
    )
    if config.student:
        student = stages.load_policy(config.student)
    else:
        student = stages.new_policy(config.size, tokenizer, sum(config.limits), student_key)
    texts, teacher = taught(config, [*train, *held_out], tokenizer, directory / "teacher.jsonl", texts_key)
    answered = [record for record in held_out if texts.get(record.id)]
    encode = functools.partial(
        data.encode_lists, tokenizer=tokenizer, max_prompt=config.limits[0], max_response=config.limits[1]
    )
    asked = encode([record.unanswered() for record in answered])

    def evaluate(policies: Mapping[str, Policy], key: Array) -> dict[str, Row]:
        table = {}
        for name, policy in policies.items():
            tokens = draw(policy, asked, key, num_samples=1, end_ids=tokenizer.end_ids)
            written = [[tokenizer.decode(ids) for ids in row] for row in tokens]
            table[name] = figures.text_figures(written, [texts[record.id][0] for record in answered])
        return table

    graded = encode([alpacaeval_task.spread_over_labels(r, GRADED) for r in lists[1]]) if lists else None
    return World(tokenizer, student, train, texts, teacher, graded, None, evaluate)


def taught(
    config, records: Sequence[PreferenceRecord], tokenizer: HfTokenizer, path: pathlib.Path, key: Array
) -> tuple[Texts, Policy | None]:
    """What the teacher writes to the prompts, and the teacher itself where the student shares its vocabulary."""
    if config.teacher_outputs:
        return {record.id: record.responses for record in records}, None
    if not config.teacher:
        raise ValueError("no teacher: name its texts (--teacher-outputs), or its directory or server (--teacher)")
    limit = config.limits[1]
    if is_url(config.teacher):
        options = {"max_new_tokens": config.max_tokens or limit, "server": config.server}
        ask = functools.partial(asked_texts, path, config.teacher, config.teacher_name, records, **options)
        return processes.first(ask), None
    policy, its_own = stages.load_policy(config.teacher), data.load_tokenizer(hf.resolve(config.teacher))
    sample = functools.partial(sampled_texts, path, policy, its_own, records, key, num_samples=1, max_new_tokens=limit)
    return texts_of(processes.first(sample)), policy if its_own.vocabulary == tokenizer.vocabulary else None


def recorded(path: pathlib.Path, name: str) -> list[PreferenceRecord]:
    """Prompts and a teacher's recorded texts to them, rows of one prompt together.

    Raises:
      ValueError: no row is of the teacher called ``name``.
    """

    def row_fn(row: Mapping) -> PreferenceRecord:
        prompt, source = value_of(row, "prompt"), str(row.get("model", ""))
        return PreferenceRecord(prompt, (value_of(row, "response"),), (1.0,), source=source, id=prompt_id(prompt))

    rows = data.read_file(path, row_fn).records
    by_id: dict[str, list[PreferenceRecord]] = {}
    for row in rows:
        if row.source == name or not name:
            by_id.setdefault(row.id, []).append(row)
    if not by_id:
        names = sorted({row.source for row in rows})
        raise ValueError(f"{path} has no text of {name!r}; its column 'model' has {', '.join(names[:20])}")
    return [
        dataclasses.replace(first, responses=tuple(each.responses[0] for each in same), labels=(1.0,) * len(same))
        for same in by_id.values()
        for first in same[:1]
    ]


def prompt_id(prompt: str | Sequence[Message]) -> str:
    """A name for a prompt, the same in every file."""
    return hashlib.sha256(str(prompt).encode()).hexdigest()[:16]


def is_held_out(record: PreferenceRecord) -> bool:
    """By the prompt alone, so that no change of the files moves one."""
    return int(record.id[:8], 16) % HELD_OUT == 0
