"""One seed: every lesson is learnt once, every method asked once, and what comes of it as tables and texts."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Array

from experiments.common import report, stages
from experiments.common.task import EstimatesFn
from experiments.planning import asking, figures, judging, learning, methods, worlds
from experiments.planning import sections as shown
from experiments.planning.asking import Written
from experiments.planning.methods import BASELINE, METHODS
from experiments.planning.worlds import Ground
from jaxalign.judge import JudgeFn
from jaxalign.numerics import Ratio
from jaxalign.planning import WrittenArticle

if TYPE_CHECKING:
    from experiments.planning.__main__ import Config

HELD_OUT, ALONG, COST = "held-out articles", "supported by words, along the text", "cost of an article"
REQUESTS = "texts of a length that was asked for"
SIDE_BY_SIDE = f"wins against {BASELINE}"
PADDED = f"{BASELINE}, padded"
"""What a judge should not prefer: the baseline with a sentence that says nothing behind each of its own."""


class Study(NamedTuple):
    """What one seed has written."""

    ground: Ground
    written: Mapping[str, Written]  # by method
    learnt: Mapping[str, Mapping[str, int]]  # what each method's student was shown
    folders: Mapping[str, pathlib.Path]  # of the lessons
    requested: Mapping[str, Written]  # by method, where lengths were asked for


def run(config: "Config", ground: Ground, directory: pathlib.Path, seed: int, key: Array) -> Study:
    """Trains a student on each lesson, and asks it in each way."""
    xs, asked = [record.x for record in ground.test], [request.x for request in ground.requests]
    written, learnt, folders, requested = {}, {}, {}, {}
    lessons = methods.lessons(config.methods or tuple(METHODS))
    for lesson, group in lessons.items():
        for method in group:
            asking.check_room(ground.manner, method.way, worlds.parts_of(ground, lesson), [*xs, *asked])
    for lesson, group in lessons.items():
        place = folders[lesson.name] = directory / _folder(lesson.name)
        stuff = worlds.material(ground, lesson, seed)
        dials = worlds.dials(config.student, stuff.limits, seed)
        policy, told = learning.learn(ground.start, stuff, lesson.mixture, dials, place, key)
        for method in group:
            learnt[method.name] = told
            how = policy, ground.manner, method.way, stuff.parts
            file = _folder(method.way) + (f"-at-{warmth}" if (warmth := config.student.temperature) else "")
            written[method.name] = asking.write(*how, xs, place / f"{file}.jsonl")
            if asked:
                requested[method.name] = asking.write(*how, asked, place / f"{file}-requests.jsonl")
        if seed == 0 and not config.student.adapter.lora_rank:
            stages.export(place / "hf", policy, ground.manner.tokenizer)
    return Study(ground, *(_ordered(each) for each in (written, learnt)), folders, _ordered(requested))


def tables(
    study: Study, judges: Mapping[str, JudgeFn], estimates: EstimatesFn, judged: int
) -> dict[str, report.Figures]:
    """Returns figures by table and method; so many articles are compared side by side, 0 for all."""
    records = study.ground.test
    found = {name: study.ground.evaluate(each.articles, records) for name, each in study.written.items()}
    made = {HELD_OUT: _estimated(found, estimates)}
    if study.requested:
        requests = study.ground.requests
        asked = {name: figures.against_requests(each.articles, requests) for name, each in study.requested.items()}
        made[REQUESTS] = _estimated(asked, estimates)
    if study.ground.along is not None:
        made[ALONG] = {name: study.ground.along(each.articles, records) for name, each in study.written.items()}
    if BASELINE in study.written:
        made[SIDE_BY_SIDE] = _side_by_side(study, judges, estimates, judged or None)
    made[COST] = {name: figures.cost(each, study.learnt[name]) for name, each in study.written.items()}
    return made


def sections(study: Study) -> list:
    """Returns what the report shows beside the tables: losses, reasons, and texts side by side."""
    written = {name: each.articles for name, each in study.written.items()}
    losses = report.Curve("Loss on targets", "loss", study.folders, "nats a token")
    return [report.draw(losses), *shown.draw(written, study.ground.test, figures.reasons(written))]


def _estimated(found: Mapping[str, Mapping[str, Ratio]], estimates: EstimatesFn) -> report.Figures:
    """The figures with their intervals, without those of nothing, such as the order of headings that nobody shares."""
    ratios = {
        (name, figure): ratio
        for name, row in found.items()
        for figure, ratio in row.items()
        if float(np.sum(ratio.denominator))
    }
    made: dict[str, dict] = {name: {} for name in found}
    for (name, figure), value in estimates(ratios).items():
        made[name][figure] = value
    return made


def _ordered(by_method: Mapping[str, Any]) -> dict[str, Any]:
    return {name: by_method[name] for name in METHODS if name in by_method}


def _side_by_side(
    study: Study, judges: Mapping[str, JudgeFn], estimates: EstimatesFn, judged: int | None
) -> report.Figures:
    texts = {name: _texts(each.articles[:judged]) for name, each in study.written.items()}
    baseline = texts.pop(BASELINE)
    texts[PADDED] = [figures.pad(text) for text in baseline]
    xs = [record.x for record in study.ground.test[:judged]]
    return {name: judging.row(judging.compare(judges, xs, each, baseline), estimates) for name, each in texts.items()}


def _texts(articles: Sequence[WrittenArticle]) -> list[str]:
    return [each.article for each in articles]


def _folder(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
