"""What a seed learns from and is tested on: a made world, or articles from files."""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Array

from experiments.common import alpacaeval_task, stages
from experiments.common.task import Policy, Row
from experiments.planning import figures, made_judge, sources, world, world_figures
from experiments.planning.asking import Manner
from experiments.planning.learning import Dials, Material
from experiments.planning.methods import HEADINGS, SHUFFLED, Lesson
from experiments.planning.settings import Student
from jaxalign import planning
from jaxalign.data import HfTokenizer
from jaxalign.judge import JudgeFn
from jaxalign.planning import Budget, PlannedArticle, WrittenArticle
from jaxalign.typing import EmbedFn

if TYPE_CHECKING:
    from experiments.planning.__main__ import Config

AT_ONCE = 64  # made articles that are written side by side

AlongFn = Callable[[Sequence[WrittenArticle], Sequence[PlannedArticle]], Row]
"""``along(written, records)``: a figure for each stretch of the articles."""


class Ground(NamedTuple):
    """What one seed stands on."""

    train: list[PlannedArticle]
    test: list[PlannedArticle]
    start: Policy
    manner: Manner
    evaluate: figures.EvaluateFn
    parts: tuple[str, ...]
    notes: list[str]
    requests: tuple[sources.Request, ...] = ()
    along: AlongFn | None = None  # figures along the text
    judges: Mapping[str, JudgeFn] = MappingProxyType({})  # that know the truth, of a made world


def make(config: "Config", seed: int, key: Array) -> Ground:
    """Makes a world of articles with a hidden plan, and a student that knows nothing."""
    if 0 in config.num_articles:
        raise ValueError(
            f"--num-articles: made articles have no end; expected at least 1 of each, got {config.num_articles}"
        )
    made = world.make_world(seed, num_train=config.num_articles[0], num_test=config.num_articles[1])
    room = made.limits[0] + sum(made.budget)
    start = stages.new_policy(config.student.size, made.tokenizer, room, key)
    manner = Manner(made.tokenizer, made.wording, str, made.budget, made.limits[0], config.student.temperature, AT_ONCE)
    judges = {"facts and length": made_judge.make_judge(made.test), "facts": made_judge.make_judge(made.test, 0.0)}
    return Ground(
        made.train,
        made.test,
        start,
        manner,
        world_figures.evaluate,
        planning.PARTS,
        [],
        judges=MappingProxyType(judges),
    )


def read(config: "Config", source: sources.Source, seed: int, embed: EmbedFn | None, key: Array) -> Ground:
    """Divides the articles of the files into those to learn from and those to test on, and opens the student."""
    train, test = source.split(config.files.test_share, seed)
    if config.num_articles != (0, 0):
        train, test = (part[: number or None] for part, number in zip((train, test), config.num_articles, strict=True))
    tokenizer = _tokenizer(config, train)
    student = config.student
    start = (
        stages.load_policy(student.student)
        if student.student
        else stages.new_policy(student.size, tokenizer, _room(student), key)
    )
    if _room(student) > start.model.config.max_length:
        raise ValueError(
            f"--prompt-tokens {student.prompt_tokens}, --plan-tokens {student.plan_tokens} and --article-tokens "
            f"{student.article_tokens} exceed the student's context of {start.model.config.max_length}; lower them"
        )
    budget = Budget(student.plan_tokens, student.article_tokens)
    as_prompt = planning.as_chat if tokenizer.has_chat_template else _plain
    manner = Manner(tokenizer, planning.WORDING, as_prompt, budget, student.prompt_tokens, student.temperature)
    evaluate = functools.partial(figures.evaluate, embed=embed)
    return Ground(train, test, start, manner, evaluate, config.parts, source.notes, source.requests, figures.along)


def with_steps(ground: Ground, parts: Sequence[str]) -> Ground:
    """Returns the ground whose articles to learn from have all steps, and notes how many lack one.

    Raises:
      ValueError: if none has all steps.
    """
    whole, lacking = sources.complete(ground.train, parts)
    if not whole:
        raise ValueError(
            f"none of {len(ground.train)} articles to learn from has {' and '.join(parts)}; name a --teacher who "
            "writes them, or fewer --parts"
        )
    note = [f"{len(lacking)} of {len(ground.train)} articles to learn from lack a step, and are left out"]
    return ground._replace(train=whole, notes=[*ground.notes, *(note if lacking else [])])


def material(ground: Ground, lesson: Lesson, seed: int) -> Material:
    """Returns what a lesson learns from: the records with their own plans, others' plans, or outlines alone."""
    records = ground.train
    if lesson.plans == SHUFFLED:
        records = list(planning.shuffle_plans(records, seed=seed))
    budget = ground.manner.budget
    return Material(
        records,
        ground.manner.tokenizer,
        parts_of(ground, lesson),
        ground.manner.wording,
        ground.manner.as_prompt,
        (ground.manner.prompt_tokens, budget.plan + budget.article),
    )


def parts_of(ground: Ground, lesson: Lesson) -> tuple[str, ...]:
    """Returns the steps that the plans of a lesson have."""
    return ("outline",) if lesson.plans == HEADINGS else ground.parts


def dials(student: Student, limits: tuple[int, int], seed: int) -> Dials:
    """Returns how every lesson is learnt; rows are as long as the longest example may be, unless the flags say so."""
    row = student.batch[1] or sum(limits)
    return Dials(student.target_tokens, (student.batch[0], row), student.learning_rate, student.adapter, seed)


def _room(student: Student) -> int:
    return student.prompt_tokens + student.plan_tokens + student.article_tokens


def _tokenizer(config: "Config", train: Sequence[PlannedArticle]) -> HfTokenizer:
    student = config.student
    learnt = [planning.article_task(record) for record in train]
    return alpacaeval_task.make_tokenizer(
        learnt, model=student.student, vocab_size=student.vocab_size, work=config.output
    )


def _plain(prompt: str) -> str:
    """The prompt as a text; the answer begins on a line of its own."""
    return prompt if prompt.endswith("\n") else f"{prompt}\n"
