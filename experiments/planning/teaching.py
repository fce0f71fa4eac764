"""Steps that a teacher writes for the articles to learn from; the articles to test on keep their own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.common.encoding import Encoder
from experiments.common.llm import forecast
from experiments.common.llm.engine import Engine
from experiments.planning import sources
from experiments.planning.models import Setting
from experiments.planning.worlds import Ground
from jaxalign import planning
from jaxalign.io.report import Table
from jaxalign.planning import EntailFn, PlannedArticle, WritingReport, WrittenSteps

if TYPE_CHECKING:
    from experiments.planning.__main__ import Config

_SAID = "- This is one more thing that the article says about its subject, and it is said here at some length.\n"
_HEADINGS = "".join(f"# Section {number}\n" for number in range(1, 9))


def teach(config: "Config", ground: Ground, setting: Setting, seed: int) -> tuple[Ground, list]:
    """Returns the ground whose articles to learn from have the teacher's steps, and what the report says of them.

    Without a teacher the articles keep their own steps.
    """
    engine = setting.models.teacher
    if engine is None:
        return ground, []
    if seed == 0:
        forecast.announce(
            config.llm,
            engine,
            lambda stand_in: _write(config, ground, stand_in, setting.encoder, seed),
            times=config.seeds,
            simulated=False,
            write=_write_longest,
        )
    found = _write(config, ground, engine, setting.encoder, seed)
    entail = _entailment(engine, setting.encoder)
    sections = [_counts(found.report), _scores(ground.train, found.records, ground.parts, entail)]
    return ground._replace(train=list(found.records)), sections


def _write(config: "Config", ground: Ground, engine: Engine, encoder: Encoder | None, seed: int) -> WrittenSteps:
    teacher = config.taught_by
    examples = sources.complete(ground.train, ground.parts)[0][: teacher.shots]
    return planning.write_steps(
        engine.generate,
        ground.train,
        entail=_entailment(engine, encoder),
        parts=ground.parts,
        num_candidates=teacher.candidates,
        examples=examples,
        teacher=engine.name,
        max_tokens=teacher.teacher_tokens,
        seed=seed,
    )


def _entailment(engine: Engine, encoder: Encoder | None) -> EntailFn:
    """The encoder's cosines, or the teacher's own word where there is no encoder."""
    if encoder is not None:
        return planning.make_embedding_entailment(encoder)
    return planning.make_model_entailment(engine.score_options)


def _counts(report: WritingReport) -> Table:
    reasons = sorted({reason for each in report.unread.values() for reason in each})
    rows = [
        (
            part,
            report.asked[part],
            *(report.unread[part].get(reason, 0) for reason in reasons),
            report.unscored[part],
            report.repeated[part],
            len(report.missing[part]),
        )
        for part in report.asked
    ]
    columns = ("step", "candidates", *reasons, "without a score", "repeated", "articles without the step")
    caption = "Candidates that could not be read are none; an article without any lacks the step, and is left out."
    return Table("Candidates of the teacher, seed 0", columns, rows, caption)


def _scores(
    own: Sequence[PlannedArticle], taught: Sequence[PlannedArticle], parts: Sequence[str], entail: EntailFn
) -> Table:
    """Mean scores of the best candidates, beside those of the articles' own steps."""
    rows = []
    for name, records in (("of the articles themselves", own), ("of the teacher", taught)):
        scored = planning.score_plans(records, entail=entail, parts=parts)
        for part in parts:
            found = np.array([[*each[part], each[part].total] for each in scored if part in each])
            if len(found):
                rows.append((f"{part}, {name}", len(found), *np.nanmean(found, axis=0).tolist()))
    columns = ("step", "articles", "length", "form", "coherence", "all three")
    return Table("Scores of steps, seed 0", columns, rows, "Each in [0, 1]; candidates are chosen by their product.")


def _write_longest(prompt: str, max_tokens: int) -> str:
    """Answers a prompt with a text as long as it may be, which is read as a step of any kind."""
    room = max(4 * max_tokens - len(_HEADINGS), 0)
    return _HEADINGS + (_SAID * (room // len(_SAID) + 1))[:room]
