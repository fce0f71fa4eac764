"""Whoever teaches and judges: language models that are asked, remembered and paid."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.common.encoding import Encoder
from experiments.common.fields import is_url
from experiments.common.llm import accounts
from experiments.common.llm.engine import Engine, counting, open_engine
from experiments.planning.judging import ASPECTS, prefer_longer
from experiments.planning.sources import Source
from experiments.planning.worlds import Ground
from jaxalign import judge
from jaxalign.io.llm.service import Ledger
from jaxalign.io.report import Table
from jaxalign.judge import JudgeFn
from jaxalign.planning import PlannedArticle

if TYPE_CHECKING:
    from experiments.planning.__main__ import Config

LENGTH = "length"
"""The judge that prefers the longer text: what every other one is to be read beside."""


class Models(NamedTuple):
    """The models of a run that are asked; None where nobody is."""

    teacher: Engine | None
    judge: Engine | None

    def told(self) -> dict[str, Any]:
        """Returns who they are, and what the judge is asked, for the report's opening."""
        said: dict[str, Any] = {
            role: "nobody" if engine is None else engine.name
            for role, engine in (("teacher", self.teacher), ("judge", self.judge))
        }
        if self.judge is None:
            return said
        asked = {f"judge, {aspect}": asked.question for aspect, asked in ASPECTS.items()}
        return said | asked | {"judge, options": f"A or B, in both orders, {self.judge.scored_by()}"}

    def bills(self) -> list[Table]:
        """Returns what they were asked for."""
        engines = {"teacher": self.teacher, "judge": self.judge}
        return [
            dataclasses.replace(
                accounts.bill(engine.ledger, engine.paid(), engine.cost()), title=f"Asked of the {role}"
            )
            for role, engine in engines.items()
            if engine is not None
        ]


NOBODY = Models(None, None)


class Setting(NamedTuple):
    """What all seeds share."""

    source: Source | None  # None: each seed makes its own
    encoder: Encoder | None
    models: Models


def open_models(config: "Config", ledger: Ledger) -> Models:
    """Opens the models that the flags name, each with a file of answers of its own."""
    teacher = config.taught_by
    opened: list[Engine | None] = [None, None]
    if teacher.teacher:
        name, endpoint = (teacher.teacher_name, teacher.teacher) if is_url(teacher.teacher) else (teacher.teacher, "")
        flags = dataclasses.replace(config.llm, model=name, endpoint=endpoint)
        opened[0] = open_engine(flags, config.output / "teacher", ledger)
    if config.llm.model:
        opened[1] = counting(open_engine(config.llm, config.output / "judge", ledger))
    return Models(*opened)


def judges(models: Models, ground: Ground) -> dict[str, JudgeFn]:
    """Returns a judge for each aspect, beside the one that prefers the longer text."""
    found: dict[str, JudgeFn] = {LENGTH: prefer_longer, **ground.judges}
    if models.judge is not None:
        found |= {
            aspect: judge.make_direct_judge(models.judge.score_options, asked) for aspect, asked in ASPECTS.items()
        }
    return found


def warnings(models: Models, records: Sequence[PlannedArticle]) -> list[str]:
    """Returns what makes a judge's verdicts doubtful: that it wrote the data itself."""
    if models.judge is None:
        return []
    makers = {maker for record in records for maker in record.provenance.values()}
    wrote = models.judge.name in makers or (models.teacher is not None and models.teacher.name == models.judge.name)
    return [f"the judge, {models.judge.name}, also wrote the plans that students learnt from; ask another one"] * wrote
