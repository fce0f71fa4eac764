"""Runs on real data: near-duplicates, outcomes of two models, and what examples do for a real small model."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from experiments.common.encoding import Encoder
from experiments.common.llm import accounts
from experiments.common.llm.engine import Engine, open_engine
from experiments.common.report import Figures
from experiments.echolm import duplicates, outcome_routers, outcomes, small_model
from experiments.echolm.question_pairs import read_pairs
from jaxalign.io import report

EXAMPLES = 5  # of a question to the small model
ANSWER_TOKENS = 160


class Found(NamedTuple):
    """What a run on real data has to show."""

    tables: Mapping[str, Figures]
    sections: list
    told: Mapping[str, str]
    over: str  # what intervals are over


def run(config) -> Found:
    """Does the task of a config on its files."""
    if not config.data or not config.encoder:
        raise ValueError(f"task {config.task} needs --data and --encoder, got {config.data!r} and {config.encoder!r}")
    encoder = Encoder(config.encoder, config.text_lengths)
    found = TASKS[config.task](config, encoder)
    told = {**found.told, "texts cut for the encoder": str(encoder.truncated)}
    return found._replace(told=told)


def _duplicates(config, encoder: Encoder) -> Found:
    measured = duplicates.measure(encoder, read_pairs(config.data), queries=config.questions)
    shown = [
        {"cosine": f"{each.cosine:.3f}", "one": each.first, "the other": each.second} for each in measured.mistakes
    ]
    texts = report.Texts("Pairs that reuse takes for one question, and people do not", shown)
    return Found(measured.tables, [texts], {}, "topics")


def _outcomes(config, encoder: Encoder) -> Found:
    read = outcomes.read_outcomes(config.data)
    learners = {
        "words": outcome_routers.learn_words,
        "stacked": outcome_routers.make_stacked(encoder),
        "network": outcome_routers.make_network(encoder),
    }
    measured = outcomes.measure(read.outcomes, learners)
    curves = report.Curves("Quality by cost", measured.curves, x_label="share of strong calls", y_label="quality")
    told = {"rows left out: routers may have learnt from them": str(read.contaminated)}
    return Found(measured.tables, [curves], told, "requests")


def _intents(config, encoder: Encoder) -> Found:
    study = small_model.read_intents(config.data, questions=config.questions)

    def measure(engine: Engine):
        return small_model.measure_intents(study, encoder, engine.score_options, count=EXAMPLES)

    return _asked(config, measure)


def _sums(config, encoder: Encoder) -> Found:
    study = small_model.read_sums(config.data, questions=config.questions)

    def measure(engine: Engine):
        return small_model.measure_sums(study, encoder, engine.generate, count=EXAMPLES, max_tokens=ANSWER_TOKENS)

    return _asked(config, measure)


def _asked(config, measure: Callable[[Engine], Mapping[str, Figures]]) -> Found:
    with accounts.limited(config.llm, simulated=False) as ledger:
        engine = open_engine(config.llm, config.output, ledger)
        return Found(measure(engine), [], accounts.told(engine), "questions")


TASKS = {"duplicates": _duplicates, "outcomes": _outcomes, "intents": _intents, "sums": _sums}
