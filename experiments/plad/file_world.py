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
from typing import TYPE_CHECKING

import jax
from jaxtyping import Array

from experiments.common import alpacaeval_task, prompts, stages
from experiments.common.draw import RULE, draw
from experiments.common.fields import CountOrNone, is_url
from experiments.common.llm.server import Server
from experiments.common.task import Policy, Row
from experiments.plad import figures
from experiments.plad.texts import asked_texts, sampled_texts, texts_of
from experiments.plad.world import Texts, World
from jaxalign import data, sampling
from jaxalign.data import HfTokenizer, Message, PreferenceRecord
from jaxalign.data.readers.columns import value_of
from jaxalign.io import hf
from jaxalign.io.cluster import processes

if TYPE_CHECKING:
    from experiments.plad.__main__ import Config

HELD_OUT = 10  # one prompt in so many
GRADED = 16  # responses of each validation prompt, spread over the ranking


@dataclasses.dataclass(frozen=True)
class Teacher:
    """Flags that say who writes or wrote the texts."""

    teacher: str = ""  # files: who writes the texts: a Hugging Face directory, a hub id, or a server's base URL
    teacher_outputs: pathlib.Path | None = None  # files: its recorded texts, JSON lines or parquet
    teacher_name: str = ""  # files: its name at the server, or in the column "model" of teacher_outputs; empty: all
    max_tokens: CountOrNone = 0  # files: of a text that a server writes; 0: as many as a response may have
    server: Server = Server()  # files: how a server is asked


def make_world(config: "Config", directory: pathlib.Path, key: Array) -> World:
    """Makes the world of the files and the teacher that ``config`` names."""
    student_key, texts_key = jax.random.split(key)
    teacher = config.taught_by
    has_lists = config.data is not None or teacher.teacher_outputs is None
    lists = alpacaeval_task.read_lists(config.data, as_chat=config.as_chat) if has_lists else None
    if teacher.teacher_outputs:
        records = recorded(teacher.teacher_outputs, teacher.teacher_name, as_chat=config.as_chat)
    else:  # the best known response is the gold target
        records = [dataclasses.replace(record.best(1), id=prompt_id(record.prompt)) for record in lists[0]]
    train = [record for record in records if not is_held_out(record)][: config.num_prompts]
    held_out = [record for record in records if is_held_out(record)]
    if not held_out:
        raise ValueError(f"none of {len(records)} prompts is held out: a tenth is, by a hash; give more prompts")
    tokenizer = alpacaeval_task.make_tokenizer(
        records, model=config.student, vocab_size=config.vocab_size, work=config.output
    )
    prompts.check(records, tokenizer, config.student, as_chat=config.as_chat)
    student = stages.start_policy(config.student, config.size, tokenizer, sum(config.limits), student_key)
    asked, limit = [*train, *held_out], config.limits[1]
    texts, policy = taught(teacher, asked, tokenizer, directory / "teacher.jsonl", texts_key, max_response=limit)
    answered = [record for record in held_out if texts.get(record.id)]
    encode = functools.partial(
        data.encode_lists, tokenizer=tokenizer, max_prompt=config.limits[0], max_response=config.limits[1]
    )
    unanswered = encode([record.unanswered() for record in answered])

    def evaluate(policies: Mapping[str, Policy], key: Array) -> dict[str, Row]:
        table = {}
        for name, policy in policies.items():
            table[name] = {}
            for prefix, rule in (("greedy ", sampling.greedy), ("", RULE)):
                tokens = draw(policy, unanswered, key, num_samples=1, end_ids=tokenizer.end_ids, rule=rule)
                written = [[tokenizer.decode(ids) for ids in row] for row in tokens]
                row = figures.text_figures(written, [texts[record.id][0] for record in answered])
                table[name] |= {f"{prefix}{figure}": value for figure, value in row.items()}
        return table

    graded = encode([alpacaeval_task.spread_over_labels(r, GRADED) for r in lists[1]]) if lists else None
    pool = None if graded is None else lambda start, key: graded
    return World(tokenizer, student, train, texts, policy, pool, None, evaluate)


def taught(
    teacher: Teacher,
    records: Sequence[PreferenceRecord],
    tokenizer: HfTokenizer,
    path: pathlib.Path,
    key: Array,
    *,
    max_response: int,
) -> tuple[Texts, Policy | None]:
    """Returns what the teacher writes to the prompts, and the teacher where the student shares its vocabulary."""
    if teacher.teacher_outputs:
        return {record.id: record.responses for record in records}, None
    if not teacher.teacher:
        raise ValueError("no teacher: name its texts (--teacher-outputs), or its directory or server (--teacher)")
    if is_url(teacher.teacher):
        options = {"max_new_tokens": teacher.max_tokens or max_response, "server": teacher.server}
        ask = functools.partial(asked_texts, path, teacher.teacher, teacher.teacher_name, records, **options)
        return processes.first(ask), None
    policy, its_own = stages.load_policy(teacher.teacher), data.load_tokenizer(hf.resolve(teacher.teacher))
    prompts.check(records, its_own, teacher.teacher, as_chat=False)
    options = {"num_samples": 1, "max_new_tokens": max_response}
    sample = functools.partial(sampled_texts, path, policy, its_own, records, key, **options)
    return texts_of(processes.first(sample)), policy if its_own.vocabulary == tokenizer.vocabulary else None


def recorded(path: pathlib.Path, name: str, *, as_chat: bool = False) -> list[PreferenceRecord]:
    """Reads prompts and a teacher's recorded texts to them, rows of one prompt together.

    With ``as_chat`` a prompt that is a text becomes a user's message.

    Raises:
      ValueError: no row is of the teacher called ``name``.
    """

    def row_fn(row: Mapping) -> PreferenceRecord:
        texts, source = (value_of(row, "response"),), str(row.get("model", ""))
        record = PreferenceRecord(value_of(row, "prompt"), texts, (1.0,), source=source)
        record = record.as_chat() if as_chat else record
        return dataclasses.replace(record, id=prompt_id(record.prompt))

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
    """Returns a name for a prompt, the same in every file."""
    said = prompt if isinstance(prompt, str) else list(prompt)
    return hashlib.sha256(str(said).encode()).hexdigest()[:16]


def is_held_out(record: PreferenceRecord) -> bool:
    """Tells by the prompt alone whether it is held out, so that no change of the files moves one."""
    return int(record.id[:8], 16) % HELD_OUT == 0
