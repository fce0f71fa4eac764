"""SC2 (arXiv 2311.08390): which of two texts is better, by structured comparison that is chosen for its consistency.

    ./tools/run experiments.judge                 # a world with a known truth, a simulated model; under a minute
    ./tools/run experiments.judge sweeps          # other selectors, ablations, numbers of aspects and of candidates
    ./tools/run experiments.judge llmbar --data FOLDER --model NAME --endpoint URL   # LLMBar's pairs, a real model
    ./tools/run experiments.judge files --data FILE --model NAME --endpoint URL      # any pairs, JSON lines or parquet

What a real model says is kept in ``answers.jsonl`` in the output folder, and neither paid nor computed twice: after a
kill, Ctrl-C or the end of ``--budget-tokens N`` the same command goes on. ``--replay FILE`` takes such a file instead
of a model or a server. A server's file knows its model by name alone: one folder for each server.

Claims: comparing by aspects, and choosing the consistent ones among sampled comparisons, beats asking outright, chains
of thought, and as many of these as cost the same tokens. The simulated model reads real prompts and errs at known
rates (``experiments/common/llm/simulated_judge.py``): that it reads one subject with more care than all of them is put
in, so its table shows that the methods do what they should, not that models are so. BUILD.md has what came out.

Departures from the paper: prompts and counts are ours, as its own were not at hand, and none of its figures is matched.
Every judge is asked in both orders. A temperature, fitted on validation pairs, calibrates each. "Longer wins" stands
beside every figure.
"""

import dataclasses
import functools
import pathlib
from typing import Literal

from experiments.common import machines, report
from experiments.common.llm import accounts, forecast, judge_figures, judge_methods, judge_report, judge_worlds
from experiments.common.llm.engine import Engine
from experiments.common.llm.judge_methods import CHAIN, LONGER, MATCHED, METHODS, STRUCTURED, TASKS, Run, Setting
from jaxalign.data import PreferencePair
from jaxalign.io import run_folder
from jaxalign.judge import StructuredConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "llmbar", "files"] = "made"
    data: pathlib.Path | None = None  # llmbar: the folder with pairs.parquet; files: a file of pairs
    columns: tuple[str, str, str, str] = ("prompt", "response_a", "response_b", "label")  # files: of the data
    question: Literal["rating", "summarisation", "retrieval"] = "rating"
    model: str = ""  # a Hugging Face directory or hub id, or the endpoint's name for its model; made: not needed
    endpoint: str = ""  # an OpenAI-compatible server, for instance http://127.0.0.1:8000/v1
    methods: tuple[str, ...] = (LONGER, "direct", CHAIN, "self-consistency", STRUCTURED, MATCHED)
    num_pairs: tuple[int, int] = (150, 300)  # to calibrate on, and to test on; others take what there is
    num_aspects: int = 4
    num_candidates: int = 4  # contrasts of each aspect, of which one is chosen
    aspect_counts: tuple[int, ...] = ()  # a structured judge with each, besides
    candidate_counts: tuple[int, ...] = ()
    temperature: float = 0.7  # of contrasts
    max_tokens: int = 256  # of a contrast; a chain of thought has twice as many
    seeds: int = 3
    budget_tokens: int | None = None  # stop, and keep what was answered, once a run has paid so many
    replay: pathlib.Path | None = None  # answers.jsonl of an earlier run, whose answers are taken; nobody is asked
    output: pathlib.Path = pathlib.Path("runs/judge")


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "sweeps": dataclasses.replace(
        DEFAULT,
        methods=tuple(METHODS),
        aspect_counts=(1, 2, 6),
        candidate_counts=(2, 8),
        output=pathlib.Path("runs/judge-sweeps"),
    ),
    "llmbar": dataclasses.replace(
        DEFAULT, task="llmbar", num_pairs=(100, 800), seeds=1, output=pathlib.Path("runs/judge-llmbar")
    ),
    "files": dataclasses.replace(
        DEFAULT, task="files", num_pairs=(100, 400), seeds=1, output=pathlib.Path("runs/judge-files")
    ),
}


def main(config: Config) -> dict[str, float]:
    """Asks every judge about every pair and returns the figures; what a server said is kept and not asked again."""
    run_folder.open_run(
        config.output,
        dataclasses.replace(config, budget_tokens=None, replay=None),
        experiment="judge",
        may_differ=("output", "seeds", "methods", "aspect_counts", "candidate_counts"),
        files={"data": ("pairs.parquet",)},
        models=() if config.endpoint or config.replay else ("model",),
    )
    with accounts.limited(config) as ledger:
        engine = judge_worlds.open_judge(config, ledger)
        forecast.announce(config, engine, functools.partial(ask, config, 0), times=config.seeds)
        runs = [run_seed(config, seed, engine) for seed in range(config.seeds)]
    tables = {test: report.summarise([tables[test] for tables, _ in runs]) for test in runs[0][0]}
    spread = "95 % bootstrap intervals over pairs" if config.seeds == 1 else f"means of {config.seeds} seeds"
    return report.report_tables(
        config.output, f"Judges: {config.task}", tables, caption=spread, sections=[*runs[0][1], accounts.bill(ledger)]
    )


def run_seed(config: Config, seed: int, engine: Engine):
    """Figures by test and by judge, and the sections of a report."""
    runs, pairs = ask(config, seed, engine)
    judge_report.write_predictions(config.output / f"seed-{seed}" / "predictions.jsonl", runs, pairs)
    return judge_figures.tables(runs, pairs), judge_report.sections(runs, pairs)


def ask(config: Config, seed: int, engine: Engine) -> tuple[dict[str, Run], list[PreferencePair]]:
    """What every judge says of every pair of the test."""
    world = judge_worlds.make_world(config, seed)
    counts = {"num_aspects": config.num_aspects, "num_candidates": config.num_candidates}
    options = {"temperature": config.temperature, "max_tokens": config.max_tokens, "seed": seed}
    structured = StructuredConfig(**counts, **options)
    setting = Setting(engine, TASKS[config.question], structured, max_tokens=2 * config.max_tokens)
    runs = judge_methods.run_methods(
        config.methods,
        setting,
        world.test,
        world.validation,
        aspect_counts=config.aspect_counts,
        candidate_counts=config.candidate_counts,
    )
    return runs, world.test


if __name__ == "__main__":
    machines.run_alone(main, PRESETS)
